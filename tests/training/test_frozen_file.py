"""The stored outputs of frozen layers: their values, their file, and the disk space they need."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from frozen_models import CPU, Keep, classifier, some_texts

from bertune.nn.batch import Batch, collate
from bertune.nn.device import Machine
from bertune.nn.packed import PackedEncoder
from bertune.text.sequences import Sequence
from bertune.training.encoded import EncodedSplit
from bertune.training.frozen import compute_once


@pytest.mark.parametrize("where", ["memory", "disk"])
def test_running_out_of_memory_halves_the_batches(
    where: str, keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keep(where)
    model, texts = classifier(), some_texts()
    parts = {"train": EncodedSplit("", [], texts)}
    plenty = compute_once(model, parts, CPU, tmp_path / "plenty", lambda: None)
    original = PackedEncoder.frozen

    def frozen(packed: PackedEncoder, batch: Batch) -> torch.Tensor | None:
        if len(batch.lengths_S) > 1:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return original(packed, batch)

    monkeypatch.setattr(PackedEncoder, "frozen", frozen)
    short = compute_once(model, parts, CPU, tmp_path / "short", lambda: None)
    assert plenty is not None and short is not None
    for one, other in zip(short.splits["train"].sequences, plenty.splits["train"].sequences, strict=True):
        np.testing.assert_allclose(one.hidden, other.hidden, atol=1e-5, rtol=0)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="the disk cannot be asked beforehand")
def test_disk_space_is_reserved_before_writing(
    keep: Keep, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Writing to a memory-mapped page without disk space would kill the process."""
    keep("disk")
    texts = some_texts(200)
    original, taken = PackedEncoder.frozen, []

    def frozen(packed: PackedEncoder, batch: Batch) -> torch.Tensor | None:
        (staging,) = (tmp_path / "f").iterdir()
        taken.append((512 * staging.stat().st_blocks, staging.stat().st_size))
        return original(packed, batch)

    monkeypatch.setattr(PackedEncoder, "frozen", frozen)
    compute_once(classifier(), {"train": EncodedSplit("", [], texts)}, CPU, tmp_path / "f", lambda: None)
    assert taken[0][1] > 36 * 4 * sum(map(len, texts))
    assert taken[0][0] >= taken[0][1]


class TestTheFile:
    """The name and the content of the file."""

    @pytest.fixture(autouse=True)
    def on_disk(self, keep: Keep) -> None:
        keep("disk")

    @staticmethod
    def rows(folder: Path, model: Any, texts: list[Sequence], machine: Machine = CPU) -> Any:
        parts = {"train": EncodedSplit("", [], texts[:9]), "validation": EncodedSplit("", [], texts[9:])}
        found = compute_once(model, parts, machine, folder, lambda: None)
        assert found is not None and found.kept_in == "disk"
        return [s.hidden for part in found.splits.values() for s in part.sequences]

    @pytest.mark.parametrize("family", ["bert", "roberta", "distilbert", "electra"])
    @pytest.mark.parametrize("what", ["encoder", 1, 2])
    def test_the_outputs_of_a_text_do_not_depend_on_other_texts(
        self, what: str | int, family: str, tmp_path: Path
    ) -> None:
        model, texts = classifier(family, what), some_texts()
        for text, hidden in zip(texts, self.rows(tmp_path / "f", model, texts), strict=True):
            expected = model.packed.frozen(collate([text])).numpy()
            assert hidden.shape == expected.shape == (1 if what == "encoder" or what == 2 else len(text), 36)
            np.testing.assert_allclose(hidden, expected, atol=1e-5, rtol=0)

    @pytest.mark.parametrize(
        "change", ["nothing", "a weight", "a text", "a type", "precision", "tokens", "cut"]
    )
    def test_the_file_depends_on_everything_that_determines_the_outputs(
        self, change: str, tmp_path: Path
    ) -> None:
        model, texts, machine = classifier(), some_texts(), CPU
        first = self.rows(tmp_path / "f", model, texts)
        if change == "a weight":
            with torch.no_grad():
                model.encoder.encoder.layer[0].output.dense.weight[3, 5] += 0.5
        elif change == "a text":
            ids = texts[11].ids
            texts[11] = replace(texts[11], ids=np.append(ids[:-1], np.int32(98 - ids[-1] % 7)))
        elif change == "a type":
            texts[2] = replace(texts[2], types=np.ones_like(texts[2].types))
        elif change == "precision":
            machine = replace(CPU, precision="bf16")
        elif change == "tokens":
            machine = replace(CPU, micro_batch_tokens=32)
        elif change == "cut":  # the same concatenated tokens, divided into other texts
            a, b = texts[0], texts[1]
            ids, types = np.concatenate([a.ids, b.ids]), np.zeros(len(a) + len(b), np.uint8)
            texts[:2] = [replace(a, ids=ids[:1], types=types[:1]), replace(b, ids=ids[1:], types=types[1:])]
        second = self.rows(tmp_path / "f", model, texts, machine)
        assert len(list((tmp_path / "f").glob("*.npy"))) == (1 if change == "nothing" else 2)
        if change != "tokens":  # which only changes rounding
            are_equal = all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))
            assert are_equal == (change == "nothing")
