"""Evaluation intervals, checkpoint selection, early stopping and warnings in training."""

import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from bertune import api
from bertune.errors import ConfigError, DivergedError, Interrupted
from bertune.run import Run, open_run
from bertune.source import resolve_source
from bertune.training.events import Evaluated, Stepped, Warned
from bertune.training.fit import train_source
from small_texts import PLAIN, write_csv
from trainings import assert_same_work, train


@pytest.fixture(scope="module")
def noise(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Training and validation texts with random labels, so that validation scores fluctuate."""
    draw = random.Random(4)
    folder = tmp_path_factory.mktemp("noise")
    files = []
    for name, num in (("train", 40), ("validation", 40)):
        rows = [
            (" ".join(draw.choices(PLAIN, k=draw.randint(2, 9))), draw.choice(["no", "yes"]))
            for _ in range(num)
        ]
        files.append(write_csv(folder / f"{name}.csv", ("text", "label"), rows))
    return files[0], files[1]


@pytest.fixture
def noisy(noise: tuple[Path, Path], tmp_path: Path, settings: Any) -> Any:
    """Trains on random labels: `noisy(**{"train.patience": 2})`."""

    def go(**changes: Any) -> tuple[Run, list[Any]]:
        more = {
            "data.validation": str(noise[1]),
            "train.epochs": 6,
            "train.lr": 3e-3,
            "train.seed": 3,
            "train.best_margin": 0,
            **changes,
        }
        return train(noise[0], tmp_path / "run", settings(**more))

    return go


def evaluations(run: Run) -> dict[int, dict[str, Any]]:
    return {line["step"]: line["validation"] for line in run.metrics() if "validation" in line}


def best_step(found: dict[int, dict[str, Any]], score: str) -> int:
    """The step with the best value, the latest one in a tie."""
    sign = -1 if score in {"loss", "log_loss"} else 1
    return max(found, key=lambda step: (sign * found[step][score], step))


def first_best_step(found: dict[int, dict[str, Any]], score: str) -> int:
    """The step that reached the best value first."""
    best = found[best_step(found, score)][score]
    return min(step for step in found if found[step][score] == best)


@pytest.mark.parametrize("score", ["loss", "log_loss"])
def test_the_saved_weights_are_those_of_the_best_evaluation(score: str, noisy: Any) -> None:
    run, _ = noisy(**{"train.best_metric": score, "train.evaluate_every": 2})
    found = evaluations(run)
    best = best_step(found, score)
    assert best != max(found), "otherwise keeping the last weights would pass"
    assert run.manifest["training"]["best"] | {"epoch": None} == {
        "step": best,
        "epoch": None,
        "score": score,
        "value": found[best][score],
        "lower_is_better": score in {"loss", "log_loss"},
        "top_step": first_best_step(found, score),
        "top_value": found[best][score],
    }
    kept = run.manifest["scores"]["validation"]
    for name in ("accuracy", "mcc", "log_loss", "roc_auc"):
        assert kept[name] == pytest.approx(found[best][name], abs=1e-6), name


@pytest.mark.parametrize("score", ["loss", "mcc"])
def test_is_best_marks_every_evaluation_that_is_not_worse_than_earlier_ones(score: str, noisy: Any) -> None:
    run, _ = noisy(**{"train.best_metric": score, "train.evaluate_every": 2})
    sign = -1 if score == "loss" else 1
    best = -float("inf")
    for line in evaluations(run).values():
        assert line["is_best"] == (sign * line[score] >= best)
        best = max(best, sign * line[score])


def test_a_later_checkpoint_is_selected_if_the_best_is_not_better_by_more_than_chance(noisy: Any) -> None:
    run, _ = noisy(**{"train.best_metric": "log_loss", "train.evaluate_every": 2, "train.best_margin": 50})
    found, kept = evaluations(run), run.manifest["training"]["best"]
    assert kept["top_step"] == first_best_step(found, "log_loss") < kept["step"] == max(found)
    assert run.manifest["scores"]["validation"]["log_loss"] == kept["value"] > kept["top_value"]


def test_the_saved_model_has_the_same_scores_when_loaded(noisy: Any, noise: tuple[Path, Path]) -> None:
    run, _ = noisy(**{"train.best_metric": "loss", "train.evaluate_every": 2})
    evaluation = api.evaluate(run, noise[1])
    found = evaluations(run)
    assert evaluation.loss == pytest.approx(found[best_step(found, "loss")]["loss"], abs=1e-6)


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_stops_after_that_many_evaluations_without_improvement(patience: int, noisy: Any) -> None:
    run, events = noisy(
        **{"train.best_metric": "loss", "train.evaluate_every": 2, "train.patience": patience}
    )
    losses = [line["loss"] for line in evaluations(run).values()]
    without_gain = [min(losses[:i]) <= losses[i] for i in range(1, len(losses))]
    in_a_row = "".join("x" if no_gain else "." for no_gain in without_gain)
    assert in_a_row.endswith("x" * patience)
    assert "x" * patience not in in_a_row[:-1], "it should have stopped earlier"
    training = run.manifest["training"]
    assert training["stopped_early"] is True
    assert training["steps_done"] == len(run.metrics()) < training["total_steps"] == 30
    assert len([e for e in events if isinstance(e, Stepped)]) == training["steps_done"]


def test_without_patience_all_steps_are_run(noisy: Any) -> None:
    run, _ = noisy(**{"train.best_metric": "loss", "train.evaluate_every": 2})
    assert run.manifest["training"]["stopped_early"] is False
    assert run.manifest["training"]["steps_done"] == len(run.metrics()) == 30


@pytest.mark.parametrize(
    ("every", "epochs", "steps"),
    [(4, 2, [4, 8, 10]), ("epoch", 2, [5, 10]), ("epoch", 1.5, [5, 8]), (100, 1, [5]), (1, 0.5, [1, 2, 3])],
)
def test_evaluations_follow_the_interval_and_the_last_step(
    every: int | str, epochs: float, steps: list[int], noisy: Any
) -> None:
    run, events = noisy(**{"train.evaluate_every": every, "train.epochs": epochs})
    assert list(evaluations(run)) == steps
    assert [event.line["step"] for event in events if isinstance(event, Evaluated)] == steps


def test_the_training_loss_of_an_evaluation_is_the_mean_since_the_previous_one(noisy: Any) -> None:
    run, _ = noisy(**{"train.evaluate_every": 4, "train.epochs": 2})
    losses = [line["loss"] for line in run.metrics()]
    for step, previous in ((4, 0), (8, 4), (10, 8)):
        mean = sum(losses[previous:step]) / (step - previous)
        assert evaluations(run)[step]["train_loss"] == pytest.approx(mean, abs=1e-9)


def test_every_step_has_a_line_of_metrics(noisy: Any) -> None:
    run, events = noisy(**{"train.epochs": 2})
    assert [line["step"] for line in run.metrics()] == list(range(1, 11))
    assert [line["epoch"] for line in run.metrics()] == pytest.approx([i / 5 for i in range(1, 11)])
    assert [line["loss"] for line in run.metrics()] == [e.step.loss for e in events if isinstance(e, Stepped)]
    # One warm-up step of ten, starting at zero.
    assert [line["lr"] for line in run.metrics()] == pytest.approx(
        [0] + [3e-3 * i / 9 for i in range(9, 0, -1)]
    )


def test_the_first_loss_is_that_of_the_untrained_model(
    noisy: Any, noise: tuple[Path, Path], tiny_weights: Path
) -> None:
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    run, _ = noisy(**{"train.batch_size": 40, "train.epochs": 1, "model.dropout": 0})
    tokenizer = AutoTokenizer.from_pretrained(tiny_weights)
    lines = noise[0].read_text(encoding="utf-8").splitlines()[1:]
    texts, labels = zip(*(line.rsplit(",", 1) for line in lines), strict=True)
    hf = AutoModelForSequenceClassification.from_pretrained(tiny_weights).eval()
    gold = torch.tensor([["no", "yes"].index(label) for label in labels])
    with torch.no_grad():
        loss = hf(**tokenizer(list(texts), padding=True, return_tensors="pt"), labels=gold).loss
    assert run.metrics()[0]["loss"] == pytest.approx(float(loss), abs=1e-5)


def test_an_unknown_best_metric_is_an_error_before_anything_is_written(noisy: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"train\.best_metric=bleu: this task has no such metric. Set it to "
    ):
        noisy(**{"train.best_metric": "bleu"})
    assert list(tmp_path.iterdir()) == []


def test_a_nan_loss_stops_training_with_remedies(reviews_csv: Path, tmp_path: Path, settings: Any) -> None:
    with pytest.raises(DivergedError) as caught:
        train(reviews_csv, tmp_path / "run", settings(**{"train.lr": 1e36, "train.epochs": 20}))
    message = str(caught.value)
    assert "the training loss became" in message
    for remedy in ("train.lr", "train.warmup", "machine.precision=fp32", "optimizer.max_grad_norm"):
        assert remedy in message
    run = open_run(tmp_path / "run")
    assert run.manifest["status"] == "failed"
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in run.metrics())


def test_a_collapsed_run_causes_a_warning(reviews_csv: Path, tmp_path: Path, settings: Any) -> None:
    run, events = train(reviews_csv, tmp_path / "run", settings(**{"train.lr": 0.5, "train.epochs": 1}))
    texts = [event.text for event in events if isinstance(event, Warned)]
    assert any("collapsed: all texts are predicted as" in text and "train.lr" in text for text in texts)
    assert any("collapsed" in text for text in run.manifest["warnings"])
    labels = {line["label"] for line in run.predictions("validation")}
    assert len(labels) == 1


def test_a_run_that_learns_causes_no_warning(reviews_csv: Path, tmp_path: Path, settings: Any) -> None:
    run, _ = train(reviews_csv, tmp_path / "run", settings(**{"train.lr": 5e-3, "train.epochs": 12}))
    assert run.manifest["scores"]["validation"]["accuracy"] >= 0.8
    assert run.manifest["warnings"] == []


def test_a_run_stopped_after_the_last_evaluation_is_identical_when_resumed(
    reviews_csv: Path, tmp_path: Path, settings: Any
) -> None:
    """If the last weights are the best, the optimizer has already released its moments."""
    changes = settings(**{"train.best_metric": "loss", "train.epochs": 2})
    whole, _ = train(reviews_csv, tmp_path / "whole", changes)
    last = whole.manifest["training"]["total_steps"]
    assert whole.manifest["training"]["best"]["step"] == last
    with pytest.raises(Interrupted):
        for event in train_source(resolve_source(str(reviews_csv), changes), tmp_path / "stopped"):
            if isinstance(event, Evaluated) and event.line["step"] == last:
                signal.raise_signal(signal.SIGTERM)
    resumed, _ = train(reviews_csv, tmp_path / "stopped", changes, resume=True)
    assert_same_work(resumed, whole)


def test_test_texts_are_scored_once_at_the_end(noisy: Any, noise: tuple[Path, Path]) -> None:
    run, _ = noisy(**{"data.test": str(noise[0]), "train.epochs": 1})
    assert set(run.manifest["scores"]) == {"validation", "test"}
    gold = [line["gold"] for line in run.predictions("test")]
    assert gold == [line.rsplit(",", 1)[1] for line in noise[0].read_text(encoding="utf-8").splitlines()[1:]]
    assert all("test" not in json.dumps(line) for line in run.metrics())


def test_max_examples_limits_the_training_rows(noisy: Any) -> None:
    run, _ = noisy(**{"train.max_examples": 17, "train.epochs": 1})
    assert run.manifest["data"]["splits"]["train"]["rows"] == 17
    assert run.manifest["data"]["splits"]["validation"]["rows"] == 40
    assert len(run.metrics()) == 3


def test_a_run_without_memory_for_simple_models_is_complete_and_says_so(
    noise: tuple[Path, Path], tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError("Cannot allocate memory (os error 12)")

    monkeypatch.setattr("bertune.training.finish.baselines", full)
    run = api.train(noise[0], settings=settings(**{"train.baselines": True}), out=tmp_path / "run")
    assert run.manifest["status"] == "complete" and "baselines" not in run.manifest
    assert "the simple models were skipped: out of memory" in run.manifest["warnings"][-1]
