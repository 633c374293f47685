"""The Python functions do not change the calling process."""

import platform
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import bertune as bt
from tiny import bertune, process, reviews

RECORDS = [{"text": text, "label": label} for text, label in reviews(12, 4)]

# Prints whether a large tensor gets its own pages, which the system reclaims when it is freed.
IS_MAPPED_ALONE = """
import ctypes
import torch

class Info(ctypes.Structure):  # struct mallinfo2 of malloc.h; hblkhd counts bytes in pages of their own
    _fields_ = [
        (name, ctypes.c_size_t)
        for name in "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost".split()
    ]

mallinfo = ctypes.CDLL(None).mallinfo2
mallinfo.restype = Info

def is_mapped_alone():
    before = mallinfo().hblkhd
    tensor = torch.empty(64 << 20, dtype=torch.uint8)
    return mallinfo().hblkhd - before >= tensor.nbytes
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="mallinfo2 is a function of glibc")
def test_loading_a_model_does_not_change_the_memory_allocator(run: bt.Run, tmp_path: Path) -> None:
    code = f"""{IS_MAPPED_ALONE}
import bertune as bt
from bertune.allocator import tune_allocator

assert is_mapped_alone()
bt.load({str(run.path)!r}).predict(["great phone"])
assert is_mapped_alone(), "bt.load changed the allocator"
tune_allocator()
assert not is_mapped_alone(), "tune_allocator did not"
"""
    process(sys.executable, "-c", code, cwd=tmp_path).fine()


def test_loading_a_model_does_not_change_the_number_of_threads_unless_set(run: bt.Run) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        bt.load(run)
        assert torch.get_num_threads() == 3
        bt.load(run, settings={"machine.threads": 2})
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("verb", ["train", "predict", "evaluate", "bench"])
def test_the_commands_that_compute_tune_the_allocator(
    verb: str, run: bt.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[None] = []
    monkeypatch.setattr("bertune.allocator.tune_allocator", lambda: calls.append(None))
    monkeypatch.chdir(tmp_path)
    bertune(verb, *([run.path] if verb in ("predict", "evaluate") else []), "nowhere.csv")
    assert calls


def test_progress_prints_the_same_as_the_command(
    settings: Callable[..., dict[str, Any]], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    quick = settings(**{"train.epochs": 1})
    capfd.readouterr()
    run = bt.train(RECORDS, settings=quick, out=tmp_path / "run", progress=True)
    shown = capfd.readouterr()
    assert shown.out == ""
    for part in ("parameters", "train loss", "best checkpoint: step", f"{run.scores['accuracy']:.4f}"):
        assert part in shown.err
    bt.train(RECORDS, settings=quick, out=tmp_path / "silent")
    assert capfd.readouterr() == ("", "")


def test_training_events_are_in_order_and_end_with_the_run(
    settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    quick = settings(**{"train.epochs": 1})
    events = list(bt.train_events(RECORDS, settings=quick, out=tmp_path / "run"))
    kinds = [type(event) for event in events if not isinstance(event, bt.Noted | bt.Warned)]
    assert kinds[:2] == [bt.DataReady, bt.Started]
    assert bt.Stepped in kinds and bt.Evaluated in kinds
    match events[-1]:
        case bt.Finished(run):
            assert "accuracy" in run.scores
        case other:
            pytest.fail(f"the last event is {other}")


def test_a_generator_of_events_can_be_closed_and_training_resumed(
    settings: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    quick = settings(**{"train.epochs": 1})
    events = bt.train_events(RECORDS, settings=quick, out=tmp_path / "run")
    for event in events:
        if isinstance(event, bt.Stepped):
            break
    events.close()
    assert "accuracy" in bt.train(RECORDS, settings=quick, out=tmp_path / "run", resume=True).scores
