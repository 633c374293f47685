"""Metrics for labelled spans (exact match) and for individual tags.

Dimensions: C labels.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from bertune.metrics.confusions import confusion_details
from bertune.metrics.counts import per_class_scores
from bertune.metrics.details import MOST_ROWS, class_row, table
from bertune.metrics.scores import Scores

Tags = Sequence[Sequence[str]]
Span = tuple[int, int, str]  # start, end, label
Spans = Sequence[Iterable[Span]]  # the spans of each text


def score_spans(gold: Spans, predicted: Spans) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Scores by name, and a row per label. A span is correct if start, end and label match a gold span.

    `precision`, `recall` and `f1` are micro averages over all spans (Tjong Kim Sang & De Meulder 2003,
    section 2.3); `macro_f1` is the mean over all gold or predicted labels, as in seqeval. If only one side
    has spans, undefined ratios are 0; if neither side has any, all four scores are None.
    """
    num_correct: Counter[str] = Counter()
    num_predicted: Counter[str] = Counter()
    num_gold: Counter[str] = Counter()
    for text_predicted, text_gold in zip(map(set, predicted), map(set, gold), strict=True):
        num_correct.update(label for *_, label in text_predicted & text_gold)
        num_predicted.update(label for *_, label in text_predicted)
        num_gold.update(label for *_, label in text_gold)
    per_class = []
    for label in sorted(num_predicted.keys() | num_gold.keys()):
        ratios = _ratios(num_correct[label], num_predicted[label], num_gold[label])
        per_class.append(class_row(label, ratios, num_gold[label]))
    if not per_class:
        return dict.fromkeys(("f1", "macro_f1", "precision", "recall")), []
    precision, recall, f1 = _ratios(num_correct.total(), num_predicted.total(), num_gold.total())
    macro = float(np.mean([row["f1"] for row in per_class]))
    return {"f1": f1, "macro_f1": macro, "precision": precision, "recall": recall}, per_class


def score_tags(gold: Tags, predicted: Tags) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """The same for tags, one per word: micro-averaged precision, recall and F1 all equal the accuracy."""
    flat_gold, flat_predicted = _flat(gold), _flat(predicted)
    labels = sorted({*flat_gold, *flat_predicted})
    number = {label: at for at, label in enumerate(labels)}
    gold_N, predicted_N = (np.array([number[tag] for tag in flat]) for flat in (flat_gold, flat_predicted))
    scores = per_class_scores(gold_N, predicted_N, len(labels))
    per_class = [
        class_row(label, (float(p), float(r), float(f)), int(support))
        for label, p, r, f, support in zip(labels, *scores[:4], strict=True)
    ]
    micro = accuracy(gold, predicted)
    macro = float(np.mean(scores.f1))
    return {"f1": micro, "macro_f1": macro, "precision": micro, "recall": micro}, per_class


def accuracy(gold: Tags, predicted: Tags) -> float:
    """The fraction of words with the correct tag."""
    pairs = list(zip(_flat(gold), _flat(predicted), strict=True))
    return sum(one == other for one, other in pairs) / len(pairs)


def assemble(
    scored: tuple[dict[str, float | None], list[dict[str, Any]]],
    gold: Tags,
    predicted: Tags,
    labels: Sequence[str],
    named: Callable[[str], str] = str,
) -> Scores:
    """Combine the result of `score_spans` or `score_tags` with the tag accuracy and the tag confusions.

    `named` maps a tag to the name it has in the confusion matrix.
    """
    values, per_class = scored
    names = list(dict.fromkeys(map(named, labels)))
    number = {name: at for at, name in enumerate(names)}
    index = {label: number[named(label)] for label in labels}
    pairs = [
        (index[one], index[other])
        for one, other in zip(_flat(gold), _flat(predicted), strict=True)
        if one in index and other in index
    ]
    gold_P, predicted_P = np.array(pairs, np.int64).reshape(-1, 2).T
    return Scores(
        {**values, "accuracy": accuracy(gold, predicted)},
        {
            "per_class": per_class,
            **confusion_details(gold_P, predicted_P, names),
            "counted": "word",
        },
    )


def error_table(gold: Spans, predicted: Spans) -> dict[str, Any]:
    """Correct, partially correct, missed and spurious spans by label (MUC-5: Chinchor & Sundheim 1993)."""
    counts: dict[str, Counter[str]] = {}
    for text_predicted, text_gold in zip(map(set, predicted), map(set, gold), strict=True):
        for span in text_gold:
            counts.setdefault(span[2], Counter())[_outcome(span, text_predicted)] += 1
        for span in text_predicted:
            if not any(_overlap(span, other) for other in text_gold):
                counts.setdefault(span[2], Counter())["spurious"] += 1
    kinds = ("right", "label", "bounds", "both", "missed", "spurious")
    shown = sorted(counts)
    if len(shown) > MOST_ROWS:  # most errors first, because the table is cut
        shown.sort(key=lambda label: counts[label]["right"] - counts[label].total())
    rows = [[label, *(counts[label][kind] for kind in kinds)] for label in shown]
    headings = [
        "label",
        "correct",
        "wrong label",
        "wrong boundaries",
        "both wrong",
        "missed",
        "spurious",
    ]
    note = "The last column counts predicted entities that overlap no gold entity."
    return table("Entity errors", headings, rows, note)


def _outcome(span: Span, predicted: set[Span]) -> str:
    """How a gold span was predicted."""
    if span in predicted:
        return "right"
    overlapping = [other for other in predicted if _overlap(span, other)]
    if any(other[:2] == span[:2] for other in overlapping):
        return "label"
    if any(other[2] == span[2] for other in overlapping):
        return "bounds"
    return "both" if overlapping else "missed"


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _flat(tags: Tags) -> list[str]:
    return [tag for sequence in tags for tag in sequence]


def _ratios(num_correct: int, num_predicted: int, num_gold: int) -> tuple[float, float, float]:
    """Precision, recall and F1; 0 where undefined."""
    total = num_predicted + num_gold
    return (
        num_correct / num_predicted if num_predicted else 0.0,
        num_correct / num_gold if num_gold else 0.0,
        2 * num_correct / total if total else 0.0,
    )
