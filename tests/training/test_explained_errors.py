"""The words of the worst errors are explained: for each fold, for ranked documents and for masked words."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertune.cross_validation import CrossValidation
from bertune.reporting.cross_validation import render
from bertune.source import resolve_source
from bertune.training.cross_validating import cross_validate
from small_texts import labelled_texts, write_csv

TEXTS = [text for text, _ in labelled_texts(36, seed=3)]
ROWS: dict[str, tuple[tuple[str, ...], list[tuple[Any, ...]]]] = {
    "classification": (("text", "label"), [(text, "ab"[i % 2]) for i, text in enumerate(TEXTS)]),
    "ranking": (
        ("query", "document", "grade"),
        [(f"{TEXTS[i // 4]} {i // 4}", text, int(i % 4 == 0)) for i, text in enumerate(TEXTS)],
    ),
    "language_modelling": (("text",), [(text,) for text in TEXTS]),
}


def cross_validated(task: str, folder: Path, settings: dict[str, Any]) -> CrossValidation:
    columns, rows = ROWS[task]
    data = write_csv(folder / f"{task}.csv", columns, rows)
    given = settings | {"task.name": task, "train.explain": True, "train.epochs": 1}
    given |= {"cross_validate.folds": 2, "machine.threads": 1}
    *_, last = cross_validate(resolve_source(str(data), given), folder / task)
    return last.result  # type: ignore[union-attr]


def adds_up(explanation: dict[str, Any]) -> bool:
    change = explanation["value"] - explanation["baseline"]
    total = sum(word[3] for word in explanation["words"])
    return bool(abs(total - change) <= 0.05 * max(abs(change), 0.1))


@pytest.mark.parametrize("task", ROWS)
def test_the_errors_of_all_folds_are_explained(
    task: str, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    result = cross_validated(task, tmp_path, settings())
    path = result.path / "predictions" / "out-of-fold.mistakes.json"
    shown = json.loads(path.read_text(encoding="utf-8"))["shown"]
    first = shown[0]
    if task == "ranking":
        (wrong, below) = [item for item in first["items"] if item["explanation"]]
        assert (wrong["role"], below["role"]) == ("wrong", "right")
        assert wrong["rank"] < below["rank"]
        query = first["passages"][0]["text"]
        assert [item["explanation"]["texts"] for item in (wrong, below)] == [
            [query, item["text"]] for item in (wrong, below)
        ]
        explanations = [item["explanation"] for item in (wrong, below)]
    else:
        explanations = [one["explanation"] for one in shown[:20] if one["explanation"]]
        assert first["explanation"]["texts"] == [first["passages"][0]["text"]]
    assert explanations
    assert all(map(adds_up, explanations))
    if task == "language_modelling":
        for one in (one for one in shown[:20] if one["explanation"]):
            ((text, start, end),) = one["explanation"]["places"]
            masked = one["facts"][1]["text"].removeprefix("##")
            assert masked in one["explanation"]["texts"][text][start:end].lower()
    html = render(result).html
    assert "integrated gradients" in html
    assert html.count('class="why"') >= len(explanations)
    assert ('<mark class="explained">' in html) == (task == "language_modelling")
