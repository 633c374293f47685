"""Error analysis of labels and numbers: the texts with the worst predictions."""

from collections.abc import Sequence
from typing import Any

from bertune.metrics.mistakes import Fact, Mistake, Mistakes, mistake, most_confident, worst
from bertune.tasks.parts.top_k import probabilities_of

_MOST_FACTS = 20  # wrong labels shown per text, which may have thousands


def wrong_label(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Misclassified texts, sorted by the probability of the predicted label, highest first."""
    confidence = [
        None if p.label == e.gold else p.probabilities[p.label]
        for p, e in zip(predictions, examples, strict=True)
    ]

    kinds = [(f"{e.gold} → {p.label}",) for p, e in zip(predictions, examples, strict=True)]

    def shown(at: int) -> Mistake:
        facts = _label_facts(predictions[at], examples[at])
        return mistake(examples[at], confidence[at], facts, kinds=kinds[at])

    return most_confident(confidence, shown, "text", "were misclassified", kinds=kinds)


def _label_facts(prediction: Any, example: Any) -> tuple[Fact, ...]:
    return (
        Fact("predicted", prediction.label, "wrong"),
        Fact("gold", example.gold, "right", probabilities_of(prediction, {example.gold}).get(example.gold)),
    )


def wrong_labels(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Texts with missing or extra labels, sorted by the model's confidence in the worst of them."""
    confidence = [
        max(_wrong_confidences(p, e).values(), default=None)
        for p, e in zip(predictions, examples, strict=True)
    ]

    kinds = [_set_kinds(set(p.labels), set(e.gold or ())) for p, e in zip(predictions, examples, strict=True)]

    def shown(at: int) -> Mistake:
        facts = _label_set_facts(predictions[at], examples[at])
        return mistake(examples[at], confidence[at], facts, kinds=kinds[at])

    order = "Sorted by the confidence in the worst label"
    return most_confident(confidence, shown, "text", "have missing or extra labels", order, kinds)


def _set_kinds(predicted: set[str], gold: set[str]) -> list[str]:
    """The kinds of errors in a set of labels: a label instead of another, or a missing or an extra one."""
    missed, extra = sorted(gold - predicted), sorted(predicted - gold)
    if len(missed) == len(extra) == 1:
        return [f"{missed[0]} → {extra[0]}"]
    return [*(f"missing: {label}" for label in missed), *(f"extra: {label}" for label in extra)]


def _wrong_confidences(prediction: Any, example: Any) -> dict[str, float]:
    """The model's confidence in each wrong decision, for missing and extra labels, in the order of labels."""
    predicted = set(prediction.labels)
    wrong = predicted.symmetric_difference(example.gold or ())
    probabilities = probabilities_of(prediction, wrong) if wrong else {}
    return {label: p if label in predicted else 1 - p for label, p in probabilities.items()}


def _label_set_facts(prediction: Any, example: Any) -> list[Fact]:
    predicted, wrong = set(prediction.labels), _wrong_confidences(prediction, example)
    worst_first = sorted(wrong, key=wrong.__getitem__, reverse=True)
    probabilities = probabilities_of(prediction, worst_first[:_MOST_FACTS])
    facts = [
        Fact("extra", label, "wrong", probabilities[label])
        if label in predicted
        else Fact("missed", label, "right", probabilities[label])
        for label in worst_first[:_MOST_FACTS]
    ]
    if len(worst_first) > _MOST_FACTS:
        facts.append(Fact("wrong labels not shown", f"{len(worst_first) - _MOST_FACTS:,}"))
    right = [label for label in example.gold or () if label in predicted]
    return [*facts, *([Fact("correct", ", ".join(right))] if right else [])]


def wrong_numbers(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Texts with the largest absolute errors."""
    error = [abs(p.value - e.gold) for p, e in zip(predictions, examples, strict=True)]
    return Mistakes(
        title="Largest errors",
        unit="text",
        num=len(examples),
        num_wrong=None,
        what="",
        order="Sorted by absolute error, in the unit of the data",
        measure="off by {}",
        shown=tuple(
            mistake(
                examples[at],
                error[at],
                (
                    Fact("predicted", f"{predictions[at].value:.4g}", "wrong"),
                    Fact("gold", f"{examples[at].gold:g}", "right"),
                ),
            )
            for at in worst(error)
        ),
    )
