"""Metrics for labelled spans (exact match) and for individual tags.

Dimensions: C labels, N texts, R resamples, P pairs of tags.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertune.metrics.arrays import FloatArray
from bertune.metrics.confusions import confusion_details
from bertune.metrics.counts import Occurrences, class_scores, ratios
from bertune.metrics.details import MOST_ROWS, class_row, table
from bertune.metrics.scores import Scores, divided, unweighted

Tags = Sequence[Sequence[str]]
Span = tuple[int, int, str]  # start, end, label
Spans = Sequence[Iterable[Span]]  # the spans of each text


@dataclass(frozen=True)
class Matched:
    """The gold, predicted and correct items of each label in each text; items are spans or tags."""

    labels: tuple[str, ...]
    correct: Occurrences
    predicted: Occurrences
    gold: Occurrences
    num_texts: int

    def weighted(self, weights_RN: FloatArray) -> dict[str, FloatArray]:
        """Micro-averaged F1, precision and recall, and macro F1, [R]; NaN without any items."""
        each = [which.counts(weights_RN) for which in (self.correct, self.predicted, self.gold)]
        per_class = class_scores(*each)
        precision_R, recall_R, f1_R = ratios(*(counts_RC.sum(axis=1) for counts_RC in each))
        macro_R = per_class.mean(per_class.is_seen)[2]
        values = {"f1": f1_R, "macro_f1": macro_R, "precision": precision_R, "recall": recall_R}
        is_any_R = per_class.is_seen.any(axis=1)
        return {name: np.where(is_any_R, each_R, np.nan) for name, each_R in values.items()}

    @property
    def values(self) -> dict[str, float | None]:
        """The same scores of texts of equal weight; None if undefined."""
        return unweighted(self.weighted, self.num_texts)

    @property
    def per_class(self) -> list[dict[str, Any]]:
        """The scores of each label."""
        once_1N = np.ones((1, self.num_texts))
        counts = (which.counts(once_1N)[0] for which in (self.correct, self.predicted, self.gold))
        triples = zip(self.labels, *class_scores(*counts)[:4], strict=True)
        return [class_row(label, (float(p), float(r), float(f)), int(n)) for label, p, r, f, n in triples]


def score_spans(gold: Spans, predicted: Spans) -> Matched:
    """The scores of spans. A span is correct if start, end and label match a gold span.

    `precision`, `recall` and `f1` are micro averages over all spans (Tjong Kim Sang & De Meulder 2003,
    section 2.3); `macro_f1` is the mean over all gold or predicted labels, as in seqeval. If only one side
    has spans, undefined ratios are 0; if neither side has any, all four scores are None.
    """
    sides = list(zip(map(set, predicted), map(set, gold), strict=True))
    found: tuple[list[list[str]], ...] = (
        [[label for *_, label in ours & theirs] for ours, theirs in sides],
        [[label for *_, label in ours] for ours, _ in sides],
        [[label for *_, label in theirs] for _, theirs in sides],
    )
    return _matched(*found)


def score_tags(gold: Tags, predicted: Tags) -> Matched:
    """The same for tags, one per word: micro-averaged precision, recall and F1 all equal the accuracy."""
    sides = zip(gold, predicted, strict=True)
    correct = [[one for one, other in zip(*pair, strict=True) if one == other] for pair in sides]
    return _matched(correct, predicted, gold)


def _matched(correct: Tags, predicted: Tags, gold: Tags) -> Matched:
    labels = tuple(sorted({*_flat(predicted), *_flat(gold)}))
    number = {label: at for at, label in enumerate(labels)}

    def located(side: Tags) -> Occurrences:
        pairs = [(text, number[tag]) for text, tags in enumerate(side) for tag in tags]
        return Occurrences.of(pairs, len(labels))

    return Matched(labels, located(correct), located(predicted), located(gold), len(gold))


def accuracy(gold: Tags, predicted: Tags) -> float:
    """The fraction of words with the correct tag."""
    return float(_accuracies(gold, predicted, np.ones((1, len(gold))))[0])


def _accuracies(gold: Tags, predicted: Tags, weights_RN: FloatArray) -> FloatArray:
    """The accuracy [R] of the words of weighted texts."""
    right_N = np.array([sum(map(str.__eq__, *pair)) for pair in zip(gold, predicted, strict=True)], float)
    words_N = np.array([len(tags) for tags in gold], float)
    return divided((weights_RN * right_N).sum(axis=1), (weights_RN * words_N).sum(axis=1), np.nan)


def assemble(
    matched: Matched,
    gold: Tags,
    predicted: Tags,
    labels: Sequence[str],
    named: Callable[[str], str] = str,
) -> Scores:
    """Combine the result of `score_spans` or `score_tags` with the tag accuracy and the tag confusions.

    `named` maps a tag to the name it has in the confusion matrix.
    """
    names = list(dict.fromkeys(map(named, labels)))
    number = {name: at for at, name in enumerate(names)}
    index = {label: number[named(label)] for label in labels}
    pairs = [
        (index[one], index[other])
        for one, other in zip(_flat(gold), _flat(predicted), strict=True)
        if one in index and other in index
    ]
    gold_P, predicted_P = np.array(pairs, np.int64).reshape(-1, 2).T

    def weighted(weights_RN: FloatArray) -> dict[str, FloatArray]:
        accuracy_R = _accuracies(gold, predicted, weights_RN)
        return {**matched.weighted(weights_RN), "accuracy": accuracy_R}

    details = {"per_class": matched.per_class, **confusion_details(gold_P, predicted_P, names)}
    cells = len(gold) + len(matched.gold.text_P)
    return Scores.of(weighted, len(gold), {**details, "counted": "word"}, cells)


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
