"""The same command gives the same bytes, even if it is interrupted and resumed at any point."""

import hashlib
import json
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bertune.errors import ConfigError, Interrupted
from bertune.run import Run, open_run
from bertune.source import resolve_source
from bertune.training import finish
from bertune.training.events import Finished, Started, Stepped, final
from bertune.training.fit import train_source
from bertune.training.seeds import train_seeds
from trainings import assert_same_work, stopped_after, train, without_times

TOTAL = 14  # steps: two epochs of seven


@pytest.fixture(scope="module")
def changes(settings: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Dropout is on, and evaluations, checkpoints and epochs fall on different steps."""
    often = {"train.evaluate_every": 3, "train.checkpoint_every": 2}
    falling = {"train.best_metric": "loss"}  # at almost every evaluation
    return settings(**{"model.dropout": 0.2, "train.lr": 2e-3, **falling, **often})


@pytest.fixture(scope="module")
def whole(reviews_csv: Path, changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run of an uninterrupted training."""
    return train(reviews_csv, tmp_path_factory.mktemp("whole") / "run", changes)[0]


def test_the_same_command_twice_gives_the_same_bytes(
    whole: Run, reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    again, _ = train(reviews_csv, tmp_path / "run", changes)
    assert_same_work(again, whole)


@pytest.mark.parametrize("seed", [43])
def test_another_seed_gives_different_weights(
    seed: int, whole: Run, reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    other, _ = train(reviews_csv, tmp_path / "run", changes | {"train.seed": seed})
    assert weights(other) != weights(whole)
    assert without_times(other)[0]["loss"] != without_times(whole)[0]["loss"]


def test_the_global_random_state_does_not_matter(
    whole: Run, reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    import torch

    torch.manual_seed(99)
    torch.rand(7)
    np.random.seed(99)
    assert_same_work(train(reviews_csv, tmp_path / "run", changes)[0], whole)


def test_a_run_stopped_at_every_step_is_identical(
    whole: Run, reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    for steps in range(1, TOTAL + 1):
        stopped_after(reviews_csv, tmp_path / "run", changes, steps)
        assert open_run(tmp_path / "run").manifest["status"] == "interrupted"
        assert [line["step"] for line in Run(tmp_path / "run").metrics()] == list(range(1, steps + 1))
    run, events = train(reviews_csv, tmp_path / "run", changes, resume=True)
    assert not any(isinstance(event, Stepped) for event in events), "all steps had been taken"
    assert_same_work(run, whole)


@pytest.mark.parametrize(
    "steps", [1, 3, 7, 12]
)  # first step, evaluation, end of an epoch, evaluation and checkpoint
def test_a_stopped_run_resumes_at_the_same_step(
    steps: int, whole: Run, reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    stopped_after(reviews_csv, tmp_path / "run", changes, steps, signal.SIGINT)
    run, events = train(reviews_csv, tmp_path / "run", changes, resume=True)
    assert [e.resumed_at for e in events if isinstance(e, Started)] == [steps]
    assert [e.step.number for e in events if isinstance(e, Stepped)] == list(range(steps + 1, TOTAL + 1))
    assert_same_work(run, whole)


def test_an_interrupted_evaluation_is_repeated(
    reviews_csv: Path, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bertune.predict import torch_backend

    original = torch_backend.micro_batches
    narrow = changes | {"machine.micro_batch_tokens": 16}
    reference, _ = train(reviews_csv, tmp_path / "reference", narrow)
    in_batch = 0

    def stopping(*arguments: Any) -> Iterator[Any]:
        for number, positions in enumerate(original(*arguments), 1):
            if number == in_batch:
                signal.raise_signal(signal.SIGTERM)
            yield positions

    for in_batch in (1, 2):
        out = tmp_path / f"run-{in_batch}"
        with monkeypatch.context() as patch:
            patch.setattr(torch_backend, "micro_batches", stopping)
            with pytest.raises(Interrupted, match="stopped after step 3 of 14"):
                train(reviews_csv, out, narrow)
        assert "validation" not in Run(out).metrics()[-1]
        run, _ = train(reviews_csv, out, narrow, resume=True)
        assert_same_work(run, reference)


def test_an_interrupted_final_evaluation_is_repeated(
    whole: Run, reviews_csv: Path, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import bertune.training.finish

    original = bertune.training.finish.evaluate

    def stopping(*arguments: Any) -> Any:
        signal.raise_signal(signal.SIGTERM)
        return original(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(bertune.training.finish, "evaluate", stopping)
        with pytest.raises(Interrupted, match="training is complete and saved"):
            train(reviews_csv, tmp_path / "run", changes)
    run, events = train(reviews_csv, tmp_path / "run", changes, resume=True)
    assert not any(isinstance(event, Stepped) for event in events)
    assert_same_work(run, whole)


def test_a_complete_run_is_resumed_without_any_work(
    reviews_csv: Path, changes: dict[str, Any], whole: Run
) -> None:
    before = weights(whole), whole.manifest
    run, events = train(reviews_csv, whole.path, changes, resume=True)
    assert len(events) == 1
    assert (weights(run), run.manifest) == before


def test_the_message_says_how_to_resume(reviews_csv: Path, changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(Interrupted) as caught:
        for event in train_source(resolve_source(str(reviews_csv), changes), tmp_path / "run"):
            if isinstance(event, Stepped) and event.step.number == 4:
                signal.raise_signal(signal.SIGINT)
    assert "stopped after step 4 of 14" in str(caught.value)
    assert f"bertune train {tmp_path / 'run'} --resume" in str(caught.value)


def test_a_stopped_seed_resumes_with_all_seeds(
    reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    """Resuming the folder of the seed, as its own message says, would never train the other seeds."""
    source = resolve_source(str(reviews_csv), changes | {"train.seeds": 2})
    with pytest.raises(Interrupted) as caught:
        for event in train_seeds(source, tmp_path / "run"):
            if isinstance(event, Stepped):
                signal.raise_signal(signal.SIGINT)
    assert "stopped in seed 42 (1 of 2)" in str(caught.value)
    assert str(caught.value).endswith(f"bertune train {tmp_path / 'run'} --resume")


def test_a_signal_after_the_last_batch_is_not_lost(
    reviews_csv: Path, changes: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise the next fold, seed or trial would be trained."""
    write_card = finish.write_card

    def interrupted(*arguments: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        write_card(*arguments)

    monkeypatch.setattr(finish, "write_card", interrupted)
    with pytest.raises(Interrupted, match=f"bertune train {tmp_path / 'run'} --resume"):
        train(reviews_csv, tmp_path / "run", changes)
    assert open_run(tmp_path / "run").manifest["status"] == "complete"


def test_an_interruption_between_runs_says_how_to_resume(tmp_path: Path) -> None:
    def interrupted(*events: object) -> Iterator[object]:
        yield from events
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):  # nothing was written
        final(interrupted(), Finished)
    with pytest.raises(Interrupted, match="--resume"):
        final(interrupted(Started(Run(tmp_path), {}, 0)), Finished)


def test_signal_handlers_are_restored(reviews_csv: Path, changes: dict[str, Any], tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    stopped_after(reviews_csv, tmp_path / "run", changes, 1)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("change", [{"train.lr": 1e-4}, {"train.epochs": 3}, {"train.seed": 1}])
def test_resuming_with_other_settings_is_an_error(
    change: dict[str, Any], reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    stopped_after(reviews_csv, tmp_path / "run", changes, 2)
    (key,) = change
    with pytest.raises(ConfigError, match=rf"cannot be resumed.*{key} was"):
        train(reviews_csv, tmp_path / "run", changes | change, resume=True)
    assert step_count(tmp_path / "run") == 2, "nothing was touched"


def test_resuming_with_other_data_is_an_error(
    reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    data = tmp_path / "data.csv"
    shutil.copy(reviews_csv, data)
    stopped_after(data, tmp_path / "run", changes, 2)
    text = data.read_text(encoding="utf-8")
    data.write_text(text.replace("great", "cheap", 1), encoding="utf-8")
    with pytest.raises(ConfigError, match=r"the \w+ data \(.*data\.csv\) has changed since"):
        train(data, tmp_path / "run", changes, resume=True)


def test_machine_settings_can_change_on_resuming(
    reviews_csv: Path, changes: dict[str, Any], whole: Run, tmp_path: Path
) -> None:
    calm = changes | {"model.dropout": 0}
    stopped_after(reviews_csv, tmp_path / "run", calm, 4)
    run, _ = train(reviews_csv, tmp_path / "run", calm | {"machine.micro_batch_tokens": 32}, resume=True)
    reference, _ = train(reviews_csv, tmp_path / "reference", calm)
    found, expected = ([line["loss"] for line in r.metrics()] for r in (run, reference))
    assert found == pytest.approx(expected, abs=1e-4)


@pytest.fixture(scope="module")
def unfinished(reviews_csv: Path, changes: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run stopped after step 8. Read only."""
    run = tmp_path_factory.mktemp("unfinished") / "run"
    stopped_after(reviews_csv, run, changes, 8)
    assert checkpoint_steps(run) == [6, 8]
    return run


class TestDamage:
    """There are checkpoints of steps 6 and 8, with the best weights of one of them."""

    @pytest.fixture
    def stopped(self, unfinished: Path, tmp_path: Path) -> Path:
        return Path(shutil.copytree(unfinished, tmp_path / "run"))

    @pytest.fixture
    def resume(
        self, reviews_csv: Path, changes: dict[str, Any], stopped: Path
    ) -> Callable[[], tuple[Run, int]]:
        def go() -> tuple[Run, int]:
            run, events = train(reviews_csv, stopped, changes, resume=True)
            (at,) = (e.resumed_at for e in events if isinstance(e, Started))
            return run, at

        return go

    @pytest.mark.parametrize("file", ["model.safetensors", "optimizer.safetensors"])
    @pytest.mark.parametrize("place", [0.02, 0.5, 0.999])
    def test_a_flipped_bit_causes_a_fallback_to_the_previous_checkpoint(
        self, file: str, place: float, stopped: Path, whole: Run, resume: Any
    ) -> None:
        flip_a_bit(stopped / "checkpoints" / "step-00000008" / file, place)
        run, resumed_at = resume()
        assert resumed_at == 6
        assert_same_work(run, whole)

    @pytest.mark.parametrize("damage", ["truncated", "empty", "missing", "not json"])
    def test_a_damaged_state_file_causes_a_fallback(
        self, damage: str, stopped: Path, whole: Run, resume: Any
    ) -> None:
        state = stopped / "checkpoints" / "step-00000008" / "state.json"
        text = state.read_text(encoding="utf-8")
        if damage == "missing":
            state.unlink()
        else:
            content = {"truncated": text[: len(text) // 2], "empty": "", "not json": "[]"}[damage]
            state.write_text(content, encoding="utf-8")
        run, resumed_at = resume()
        assert resumed_at == 6
        assert_same_work(run, whole)

    def test_best_weights_with_a_flipped_bit_are_not_used(
        self, stopped: Path, whole: Run, resume: Any
    ) -> None:
        for path in (stopped / "checkpoints").glob("best-*.safetensors"):
            flip_a_bit(path, 0.5)
        run, resumed_at = resume()
        assert resumed_at < 6, "no checkpoint can be trusted that counts on those weights"
        assert_same_work(run, whole)

    def test_without_an_intact_checkpoint_training_restarts(
        self, stopped: Path, whole: Run, resume: Any
    ) -> None:
        for step in (6, 8):
            flip_a_bit(stopped / "checkpoints" / f"step-{step:08d}" / "model.safetensors", 0.5)
        run, resumed_at = resume()
        assert resumed_at == 0
        assert_same_work(run, whole)

    def test_a_truncated_line_of_metrics_is_rewritten(self, stopped: Path, whole: Run, resume: Any) -> None:
        with (stopped / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write('{"step": 9, "epoch": 1.2857, "lo')
        assert_same_work(resume()[0], whole)

    def test_files_of_an_unfinished_checkpoint_are_ignored(
        self, stopped: Path, whole: Run, resume: Any
    ) -> None:
        staging = stopped / "checkpoints" / ".step-00000010.4711.bertune-tmp"
        shutil.copytree(stopped / "checkpoints" / "step-00000008", staging)
        (staging / "state.json").unlink()
        assert_same_work(resume()[0], whole)


def test_every_checkpoint_has_its_best_weights(
    reviews_csv: Path, changes: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "run" / "checkpoints"
    seen = 0
    for event in train_source(resolve_source(str(reviews_csv), changes), tmp_path / "run"):
        if isinstance(event, Stepped):
            for state in folder.glob("step-*/state.json"):
                stored = json.loads(state.read_text(encoding="utf-8"))
                if step := stored["progress"]["best_step"]:
                    best = folder / f"best-{step:08d}.safetensors"
                    assert hashlib.sha256(best.read_bytes()).hexdigest() == stored["best_sha256"]
                    seen += 1
            assert len(list(folder.glob("step-*"))) <= 2
            assert len(list(folder.glob("best-*"))) <= 3, "weights nobody counts on are forgotten"
    assert seen


def weights(run: Run) -> bytes:
    return (run.model_path / "model.safetensors").read_bytes()


def step_count(run: Path) -> int:
    return len(Run(run).metrics())


def checkpoint_steps(run: Path) -> list[int]:
    return sorted(int(path.name.split("-")[1]) for path in (run / "checkpoints").glob("step-*"))


def flip_a_bit(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(len(data) * place)] ^= 1
    path.write_bytes(data)
