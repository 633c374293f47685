"""Owns how choices were chosen: by their number, by their position, and the surest wrong ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bertune.metrics.details import table
from bertune.metrics.mistakes import Fact, Item, Mistake, Mistakes, Passage, Role, mistake, worst

_MOST_ITEMS = 20  # choices shown of a question, the most probable, and the right one


def by_number(right: Mapping[int, Sequence[bool]]) -> dict[str, Any]:
    """Accuracy for questions with two choices, with three …"""
    rows = [
        [str(number), len(found), sum(found) / len(found), 1 / number]
        for number, found in sorted(right.items())
    ]
    return table("Number of choices", ["choices", "questions", "accuracy", "at random"], rows)


def by_position(predictions: Sequence[Any], examples: Sequence[Any]) -> dict[str, Any]:
    """Whether a model prefers a position."""
    gold, said = Counter(e.gold for e in examples), Counter(p.index for p in predictions)
    rows = [
        [str(position), gold[position], said[position], said[position] / len(examples)]
        for position in sorted(gold | said)
    ]
    return table("Position of the choice", ["position, from 0", "right", "chosen", "share chosen"], rows)


def wrong_choices(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Questions with another choice than the right one, the surest first; equal choices are equally right."""
    sure = [
        None if p.choice == e.choices[e.gold] else max(p.probabilities)
        for p, e in zip(predictions, examples, strict=True)
    ]
    return Mistakes(
        title="Surest mistakes",
        unit="question",
        num=len(examples),
        num_wrong=sum(probability is not None for probability in sure),
        what="were answered differently from the data",
        order="The surest come first",
        measure="{}",
        shown=tuple(_shown(predictions[at], examples[at], sure[at]) for at in worst(sure)),
        is_probability=True,
    )


def _shown(prediction: Any, example: Any, sure: float | None) -> Mistake:
    def role(position: int) -> Role:
        return "right" if position == example.gold else "wrong" if position == prediction.index else ""

    notes = {"right": "gold", "wrong": "predicted", "missed": "", "": ""}
    probabilities = prediction.probabilities
    positions: Sequence[int] = range(len(example.choices))
    facts = []
    if len(positions) > _MOST_ITEMS:
        best = sorted(positions, key=probabilities.__getitem__, reverse=True)[:_MOST_ITEMS]
        facts.append(Fact("choices not shown", f"{len(positions) - len({*best, example.gold}):,}"))
        positions = sorted({*best, example.gold})
    items = [
        Item(example.choices[at], role(at), notes[role(at)], None, probabilities[at]) for at in positions
    ]
    texts = {"context": example.context, "question": example.question}
    passages = [Passage(text, name) for name, text in texts.items() if text]
    return mistake(example, sure, facts, passages, items)
