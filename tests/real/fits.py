"""Checks of prediction lines that hold for any model."""

from typing import Any

import pytest

Line = dict[str, Any]  # a line of `bertune predict`: the columns of the row and its prediction


def label(line: Line) -> None:
    """The most probable label."""
    chances = line["probabilities"]
    assert sum(chances.values()) == pytest.approx(1, abs=1e-5)
    assert chances[line["label"]] == max(chances.values())


def labels(line: Line) -> None:
    """The labels whose probability reaches the threshold."""
    assert len(line["probabilities"]) == 28
    assert all(0 <= chance <= 1 for chance in line["probabilities"].values())
    assert line["labels"] == [name for name, chance in line["probabilities"].items() if chance >= 0.5]


def value(line: Line) -> None:
    """A number in about the published range of 0 to 5."""
    assert -2 < line["value"] < 7


def spans(line: Line) -> None:
    """One tag per word; entities in order, consisting of whole words."""
    assert len(line["tags"]) == len(line["words"]) > 0
    ends = [0, *(span["end"] for span in line["spans"])]
    for before, span in zip(ends, line["spans"], strict=False):
        assert before <= span["start"] < span["end"]
        assert len(span["text"]) == span["end"] - span["start"]
        assert 0 <= span["score"] <= 1
    num_begun = sum(tag[0] in "BS" for tag in line["tags"])
    assert num_begun == len(line["spans"])


def spans_of_text(line: Line) -> None:
    """The same, with each entity equal to the text at its offsets."""
    spans(line)
    text = next(value for key, value in line.items() if key in ("text", "0"))
    for span in line["spans"]:
        assert text[span["start"] : span["end"]] == span["text"]
    assert "".join(line["words"]) == "".join(text.split())


def answer(line: Line) -> None:
    """A span of the context at its offsets, and other spans, most probable first."""
    assert line["answer"] is not None
    maybe_answer(line)


def maybe_answer(line: Line) -> None:
    """The same, or no answer predicted."""
    for found in (line, *line["n_best"]):
        start, end = found["start"], found["end"]
        assert found["answer"] == (None if start is None else line["context"][start:end])
        assert found["answer"] != ""
    chances = [found["score"] for found in line["n_best"]]
    assert chances == sorted(chances, reverse=True)
    assert sum(chances) == pytest.approx(1, abs=1e-5)


def choice(line: Line) -> None:
    """The text and position of the most probable choice."""
    chances = line["probabilities"]
    assert len(chances) == len(line["choices"]) >= 2
    assert sum(chances) == pytest.approx(1, abs=1e-5)
    assert line["choice"] == line["choices"][line["index"]].strip()
    assert chances[line["index"]] == max(chances)


def relevance(line: Line) -> None:
    """A probability."""
    assert 0 <= line["score"] <= 1


def likeness(line: Line) -> None:
    """The cosine of a pair, without vectors."""
    assert line["vector"] is None
    assert len(line["similarities"]) == 1
    assert -1.0001 <= line["similarities"][0] <= 1.0001


def masks(line: Line) -> None:
    """Masked words that occur in the text, and predictions for them."""
    assert line["masks"]
    for mask in line["masks"]:
        assert mask["word"].removeprefix("##") in line["text"].lower()
        guesses = list(mask["best"].values())
        assert guesses == sorted(guesses, reverse=True)
        assert 0 < sum(guesses) <= 1.0001
        assert 0 <= mask["probability"] <= 1
