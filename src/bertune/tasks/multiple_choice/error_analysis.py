"""Error analysis: accuracy by number of choices, bias towards positions, and the most confident errors."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from bertune.metrics.details import table
from bertune.metrics.mistakes import Fact, Item, Mistake, Mistakes, Passage, Role, mistake, most_confident

_MOST_ITEMS = 20  # choices shown per question: the most probable ones, plus the correct one


def by_number(right: Mapping[int, Sequence[bool]]) -> dict[str, Any]:
    """Accuracy by the number of choices of a question."""
    rows = [
        [str(number), len(is_right), sum(is_right) / len(is_right), 1 / number]
        for number, is_right in sorted(right.items())
    ]
    return table("Number of choices", ["choices", "questions", "accuracy", "random choice"], rows)


def by_position(predictions: Sequence[Any], examples: Sequence[Any]) -> dict[str, Any]:
    """Gold and predicted counts by position, which show whether the model prefers a position."""
    gold, predicted = Counter(e.gold for e in examples), Counter(p.index for p in predictions)
    rows = [
        [str(position), gold[position], predicted[position], predicted[position] / len(examples)]
        for position in sorted(gold | predicted)
    ]
    headings = ["position, from 0", "gold", "predicted", "fraction predicted"]
    return table("Position of the choice", headings, rows)


def wrong_choices(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Questions with a wrong choice, sorted by confidence; choices with the same text are interchangeable."""
    confidence = [
        None if p.choice == e.choices[e.gold] else max(p.probabilities)
        for p, e in zip(predictions, examples, strict=True)
    ]

    def shown(at: int) -> Mistake:
        return _shown(predictions[at], examples[at], confidence[at])

    return most_confident(confidence, shown, "question", "were answered incorrectly")


def _shown(prediction: Any, example: Any, confidence: float | None) -> Mistake:
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
    return mistake(example, confidence, facts, passages, items)
