"""Owns the texts whose labels, or numbers, were predicted worst."""

from collections.abc import Sequence
from typing import Any

from bertune.metrics.mistakes import Fact, Mistakes, mistake, worst
from bertune.tasks.parts.top_k import probabilities_of

_MOST_FACTS = 20  # wrong labels shown of a text


def wrong_label(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Texts whose most probable label is not the gold one, the surest first."""
    sure = [
        None if p.label == e.gold else p.probabilities[p.label]
        for p, e in zip(predictions, examples, strict=True)
    ]
    return Mistakes(
        title="Surest mistakes",
        unit="text",
        num=len(examples),
        num_wrong=sum(probability is not None for probability in sure),
        what="were labelled differently from the data",
        order="The surest come first",
        measure="{}",
        shown=tuple(
            mistake(examples[at], sure[at], _one(predictions[at], examples[at])) for at in worst(sure)
        ),
        is_probability=True,
    )


def _one(prediction: Any, example: Any) -> tuple[Fact, ...]:
    return (
        Fact("predicted", prediction.label, "wrong"),
        Fact("gold", example.gold, "right", probabilities_of(prediction, {example.gold}).get(example.gold)),
    )


def wrong_labels(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Texts with labels that are missing or too many, those with the surest of them first."""
    sure = [max(_odds(p, e).values(), default=None) for p, e in zip(predictions, examples, strict=True)]
    return Mistakes(
        title="Surest mistakes",
        unit="text",
        num=len(examples),
        num_wrong=sum(probability is not None for probability in sure),
        what="have a label too many or too few",
        order="Those with the surest wrong label come first",
        measure="{}",
        shown=tuple(
            mistake(examples[at], sure[at], _several(predictions[at], examples[at])) for at in worst(sure)
        ),
        is_probability=True,
    )


def _odds(prediction: Any, example: Any) -> dict[str, float]:
    """How sure the model was of each label that is missing or too many, in the order of the labels."""
    found = set(prediction.labels)
    wrong = found.symmetric_difference(example.gold or ())
    chances = probabilities_of(prediction, wrong) if wrong else {}
    return {label: p if label in found else 1 - p for label, p in chances.items()}


def _several(prediction: Any, example: Any) -> list[Fact]:
    found, wrong = set(prediction.labels), _odds(prediction, example)
    worst_first = sorted(wrong, key=wrong.__getitem__, reverse=True)
    chances = probabilities_of(prediction, worst_first[:_MOST_FACTS])
    facts = [
        Fact("too many", label, "wrong", chances[label])
        if label in found
        else Fact("missed", label, "right", chances[label])
        for label in worst_first[:_MOST_FACTS]
    ]
    if len(worst_first) > _MOST_FACTS:
        facts.append(Fact("wrong labels not shown", f"{len(worst_first) - _MOST_FACTS:,}"))
    right = [label for label in example.gold or () if label in found]
    return [*facts, *([Fact("found", ", ".join(right))] if right else [])]


def wrong_numbers(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Texts whose number is furthest from the gold one."""
    off = [abs(p.value - e.gold) for p, e in zip(predictions, examples, strict=True)]
    return Mistakes(
        title="Largest errors",
        unit="text",
        num=len(examples),
        num_wrong=None,
        what="",
        order="Numbers that are furthest off, in the unit of the data, come first",
        measure="off by {}",
        shown=tuple(
            mistake(
                examples[at],
                off[at],
                (
                    Fact("predicted", f"{predictions[at].value:.4g}", "wrong"),
                    Fact("gold", f"{examples[at].gold:g}", "right"),
                ),
            )
            for at in worst(off)
        ),
    )
