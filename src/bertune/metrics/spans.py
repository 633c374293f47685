"""Owns the scores of labelled spans, found or not found exactly, and of tags one by one.

Dimensions: C labels.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

from bertune.metrics.confusions import confusion_details
from bertune.metrics.details import MOST_ROWS, table
from bertune.metrics.scores import Scores

Tags = Sequence[Sequence[str]]
Span = tuple[int, int, str]  # start, end, label
Spans = Sequence[Iterable[Span]]  # of each text


def score_spans(gold: Spans, predicted: Spans) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Scores by name and a row per label: right is a span with start, end and label of a gold one.

    `precision`, `recall` and `f1` are over all spans (Tjong Kim Sang & De Meulder 2003, section 2.3);
    `macro_f1` is the mean over the labels that occur in either. What cannot be divided is 0.
    """
    right: Counter[str] = Counter()
    found: Counter[str] = Counter()
    there: Counter[str] = Counter()
    for ours, theirs in zip(map(set, predicted), map(set, gold), strict=True):
        right.update(label for *_, label in ours & theirs)
        found.update(label for *_, label in ours)
        there.update(label for *_, label in theirs)
    per_class = []
    for label in sorted(found.keys() | there.keys()):
        precision, recall, f1 = _ratios(right[label], found[label], there[label])
        per_class.append(
            {"label": label, "precision": precision, "recall": recall, "f1": f1, "support": there[label]}
        )
    precision, recall, f1 = _ratios(right.total(), found.total(), there.total())
    macro = float(np.mean([row["f1"] for row in per_class])) if per_class else 0.0
    return {"f1": f1, "macro_f1": macro, "precision": precision, "recall": recall}, per_class


def score_tags(gold: Tags, predicted: Tags) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """The same of single tags, one of which every word has: precision, recall and F1 are the accuracy."""
    flat_gold, flat_predicted = _flat(gold), _flat(predicted)
    labels = sorted({*flat_gold, *flat_predicted})
    columns = precision_recall_fscore_support(flat_gold, flat_predicted, labels=labels, zero_division=0)
    per_class = [
        {"label": label, "precision": float(p), "recall": float(r), "f1": float(f), "support": int(s)}
        for label, p, r, f, s in zip(labels, *columns, strict=True)
    ]
    right = accuracy(gold, predicted)
    macro = float(np.mean(columns[2]))
    return {"f1": right, "macro_f1": macro, "precision": right, "recall": right}, per_class


def accuracy(gold: Tags, predicted: Tags) -> float:
    """The share of words with the right tag."""
    pairs = list(zip(_flat(gold), _flat(predicted), strict=True))
    return sum(one == other for one, other in pairs) / len(pairs)


def assemble(
    found: tuple[dict[str, float | None], list[dict[str, Any]]],
    gold: Tags,
    predicted: Tags,
    labels: Sequence[str],
    named: Callable[[str], str] = str,
) -> Scores:
    """Scores and rows per label, with the accuracy of tags and the confusions of their names."""
    values, per_class = found
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
    """How spans of each label were found, and how not (as in MUC-5: Chinchor & Sundheim 1993)."""
    counts: dict[str, Counter[str]] = {}
    for ours, theirs in zip(map(set, predicted), map(set, gold), strict=True):
        for span in theirs:
            counts.setdefault(span[2], Counter())[_outcome(span, ours)] += 1
        for span in ours:
            if not any(_overlap(span, other) for other in theirs):
                counts.setdefault(span[2], Counter())["spurious"] += 1
    kinds = ("right", "label", "bounds", "both", "missed", "spurious")
    shown = sorted(counts)
    if len(shown) > MOST_ROWS:  # then those with most errors
        shown.sort(key=lambda label: counts[label]["right"] - counts[label].total())
    rows = [[label, *(counts[label][kind] for kind in kinds)] for label in shown]
    headings = [
        "label",
        "right",
        "other label",
        "other bounds",
        "both other",
        "missed",
        "where there is none",
    ]
    return table("How entities were found", headings, rows, "The last column counts what was predicted.")


def _outcome(span: Span, found: set[Span]) -> str:
    """What became of a gold span."""
    if span in found:
        return "right"
    touching = [other for other in found if _overlap(span, other)]
    if any(other[:2] == span[:2] for other in touching):
        return "label"
    if any(other[2] == span[2] for other in touching):
        return "bounds"
    return "both" if touching else "missed"


def _overlap(one: Span, other: Span) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _flat(tags: Tags) -> list[str]:
    return [tag for sequence in tags for tag in sequence]


def _ratios(right: int, found: int, there: int) -> tuple[float, float, float]:
    return (
        right / found if found else 0.0,
        right / there if there else 0.0,
        2 * right / (found + there) if found + there else 0.0,
    )
