"""Entities, answers, choices and masked words, as the library predicts them."""

from collections.abc import Callable
from typing import Any

import pytest
from running import Running

from bertune.predict.model import Model
from bertune.predict.predictor import plain

Library = Callable[[str], Model]
CONTEXT = "the phone is in the box of my house"
QUESTION = {"question": "my phone ?", "context": CONTEXT}
CHOICE = {"context": "my phone", "question": "is in the", "choices": ["box", "house", "bag"]}


def answer(running: Running, path: str, body: object, status: int = 200) -> Any:
    with running.client() as client:
        found = client.post(path, json=body)
    assert found.status_code == status, found.text
    return found.json()


@pytest.mark.parametrize(
    ("name", "path", "inputs", "items"),
    [
        ("entities", "/tag", CONTEXT, [CONTEXT]),
        ("entities", "/tag", [CONTEXT, "my lamp"], [CONTEXT, "my lamp"]),
        ("entities", "/tag", [["my", "phone"], ["the", "lamp"]], [["my", "phone"], ["the", "lamp"]]),
        ("answers", "/answer", QUESTION, [("my phone ?", CONTEXT)]),
        ("answers", "/answer", [QUESTION, QUESTION], [("my phone ?", CONTEXT)] * 2),
        ("choices", "/choose", CHOICE, [tuple(CHOICE.values())]),
        ("masks", "/fill", "my [MASK] is in the box", ["my [MASK] is in the box"]),
        (
            "masks",
            "/models/masks/fill",
            ["my [MASK]", "the [MASK] [MASK]"],
            ["my [MASK]", "the [MASK] [MASK]"],
        ),
    ],
)
def test_predictions_are_those_of_the_library(
    every: Running, library: Library, name: str, path: str, inputs: object, items: list[Any]
) -> None:
    found = answer(every, path, {"inputs": inputs})["predictions"]
    assert len(found) == len(items)
    for one, prediction in zip(found, library(name).predict(items), strict=True):
        assert rounded(one) == rounded(plain(prediction))


def rounded(value: Any) -> Any:
    """A plain value with numbers that batches of other sizes do not change."""
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    return [rounded(item) for item in value] if isinstance(value, list | tuple) else value


def test_spans_are_those_of_characters(every: Running) -> None:
    text = "my 🙂 phone is in the house"
    (found,) = answer(every, "/tag", {"inputs": text})["predictions"]
    assert found["spans"], "a model without training tags something"
    assert all(text[span["start"] : span["end"]] == span["text"] for span in found["spans"])


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        ("/tag", {"inputs": []}, "a list of at least one input"),
        ("/tag", {"inputs": ["my phone", " "]}, "text 2 of 2 is blank"),
        ("/tag", {"inputs": "my phone", "truncated": True}, "truncated: Extra inputs are not permitted"),
        ("/answer", {"inputs": {"question": "my phone ?"}}, 'lacks the key "context"'),
        ("/answer", {"inputs": {**QUESTION, "id": 1}}, 'the unknown key "id"'),
        ("/answer", {"inputs": "my phone ?"}, "must be an object with the keys question, context"),
        ("/choose", {"inputs": {**CHOICE, "choices": ["box"]}}, "at least two choices"),
        ("/choose", {"inputs": QUESTION}, "reads the keys context, question, choices"),
        ("/fill", {"inputs": ["my [MASK]", "my phone"]}, "text 2 of 2 has no mask"),
        (
            "/models/topics/tag",
            {"inputs": "my phone"},
            '"topics" predicts labels, probabilities (use /predict)',
        ),
        ("/models/masks/answer", {"inputs": QUESTION}, '"masks" predicts masks (use /fill)'),
    ],
)
def test_a_refusal_says_what_is_wrong(every: Running, path: str, body: object, message: str) -> None:
    assert message in answer(every, path, body, 422)["error"]
