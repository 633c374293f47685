"""Error analysis of token classification: the texts with the most wrong spans or tags."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from bertune.metrics.mistakes import (
    Explains,
    Mark,
    Mistake,
    Mistakes,
    Passage,
    Role,
    kind_counts,
    mistake,
    worst,
)
from bertune.tasks.token_classification.reading import Example
from bertune.tasks.token_classification.tagging import Tagging


def wrong_spans(predictions: Sequence[Any], examples: Sequence[Example], tagging: Tagging) -> Mistakes:
    """The texts with the most errors, with their wrong and missed spans or tags marked."""
    marks = [
        tuple(_of_spans(p, e, tagging) if tagging.has_spans else _of_tags(p, e))
        for p, e in zip(predictions, examples, strict=True)
    ]
    num_wrong = [sum(mark.role != "right" for mark in of_text) for of_text in marks]
    badness = [number or None for number in num_wrong]
    kinds = [list(_kinds(of_text)) for of_text in marks]

    def shown(at: int) -> Mistake:
        passages = [Passage(examples[at].texts[0], "", marks[at])]
        found = mistake(examples[at], num_wrong[at], passages=passages, kinds=kinds[at])
        explained = _first_wrong(predictions[at].spans, marks[at]) if tagging.has_spans else None
        return replace(found, explains=Explains(at, explained))

    what = "a missed or wrong entity" if tagging.has_spans else "a word with a wrong tag"
    return Mistakes(
        title="Worst texts",
        unit="text",
        num=len(examples),
        num_wrong=sum(number > 0 for number in num_wrong),
        what=f"have {what}",
        order="Sorted by the number of errors",
        measure="errors: {}",
        shown=tuple(shown(at) for at in worst(badness, kinds)),
        kinds=kind_counts(badness, kinds),
    )


def _first_wrong(spans: Sequence[Mapping[str, Any]], marks: Sequence[Mark]) -> int | None:
    """The position of the first wrong span, whose explanation is of interest; None: the most certain one."""
    wrong = {(mark.start, mark.end, mark.label) for mark in marks if mark.role == "wrong"}
    places = [(span["start"], span["end"], span["label"]) for span in spans]
    return next((number for number, place in enumerate(places) if place in wrong), None)


def _kinds(marks: Sequence[Mark]) -> Iterator[str]:
    """The kinds of errors in a text: another label, other boundaries, a missed or a spurious span."""
    wrong = [mark for mark in marks if mark.role == "wrong"]
    missed = [mark for mark in marks if mark.role == "missed"]
    paired = set()
    for gold in missed:
        over = [mark for mark in wrong if mark.start < gold.end and mark.end > gold.start]
        paired |= set(over)
        if not over:
            yield f"missed: {gold.label}"
        elif gold.label == over[0].label:
            yield f"boundaries: {gold.label}"
        else:
            yield f"{gold.label} → {over[0].label}"
    yield from (f"spurious: {mark.label}" for mark in wrong if mark not in paired)


def _of_spans(prediction: Any, example: Example, tagging: Tagging) -> Iterator[Mark]:
    gold = set(map(tuple, tagging.gold(example)))
    predicted = {(span["start"], span["end"], span["label"]) for span in prediction.spans}
    kinds: tuple[tuple[Role, set[Any]], ...] = (
        ("right", gold & predicted),
        ("wrong", predicted - gold),
        ("missed", gold - predicted),
    )
    for role, spans in kinds:
        yield from (Mark(start, end, role, label) for start, end, label in sorted(spans))


def _of_tags(prediction: Any, example: Example) -> Iterator[Mark]:
    for (start, end), tag, gold in zip(example.words, prediction.tags, example.tags, strict=True):
        if tag != gold:
            yield Mark(start, end, "wrong", tag)
            yield Mark(start, end, "missed", gold)
