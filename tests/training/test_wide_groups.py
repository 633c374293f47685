"""A question with more choices than fit a micro-batch is computed in pieces, with the same result."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertune.predict import torch_backend
from bertune.text.batches import slices
from bertune.training import loop
from small_texts import PLAIN
from trainings import train

NUM_CHOICES = 60


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("choices") / "questions.jsonl"
    rows = [
        {
            "question": "the phone is",
            "choices": [f"the {word} {number}" for word in PLAIN[:NUM_CHOICES]],
            "label": 7 * number,
        }
        for number in range(6)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_question_trained_in_pieces_gives_the_same_result(
    questions: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    widths, predicted = list[int](), list[int]()
    in_pieces = loop._in_pieces

    def counted(trainee: Any, pieces: list[Any], seed: int) -> Any:
        widths.extend(len(piece) for piece in pieces)
        return in_pieces(trainee, pieces, seed)

    def cut(lengths: list[int], most: int) -> list[slice]:
        found = list(slices(lengths, most))
        predicted.extend(len(lengths[piece]) for piece in found)
        return found

    monkeypatch.setattr(loop, "_in_pieces", counted)
    monkeypatch.setattr(torch_backend, "slices", cut)
    changes = {
        "task.name": "multiple_choice",
        "model.dropout": 0,
        "train.batch_size": 2,
        "train.best_metric": "loss",
        "data.validation_fraction": 0.3,
    }
    one, _ = train(questions, tmp_path / "one", settings(**changes))
    assert not widths
    assert min(predicted) >= NUM_CHOICES
    predicted.clear()
    many, _ = train(questions, tmp_path / "many", settings(**changes, **{"machine.micro_batch_tokens": 64}))
    assert widths
    assert max(widths + predicted) < NUM_CHOICES / 4
    for first, second in zip(one.metrics(), many.metrics(), strict=True):
        assert second["loss"] == pytest.approx(first["loss"], rel=1e-5)
        assert second["grad_norm"] == pytest.approx(first["grad_norm"], rel=1e-3)
        if "validation" in first:
            assert second["validation"]["loss"] == pytest.approx(first["validation"]["loss"], rel=1e-5)
    for first, second in zip(one.predictions("validation"), many.predictions("validation"), strict=True):
        assert second["probabilities"] == pytest.approx(first["probabilities"], abs=1e-6)
