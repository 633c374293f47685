"""Drift: whether recent texts and predictions resemble those of the validation data used in training.

Only counts and means are kept, never texts.
"""

import threading
from collections.abc import Collection, Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from bertune.text.sequences import Sequence

WINDOW = 1000  # predictions: older ones have less and less weight
_MOST_LABELS = 100  # in metrics and /info
_MOST_WEIGHT = 1e12  # at which all weights are scaled down, long before they overflow
NONE = "(none)"  # the label of a prediction without label, span or answer
# The fields of a prediction that say what was predicted, and with which confidence.
_FIELDS = frozenset(("label", "labels", "spans", "answer", "probabilities", "score", "value"))


@dataclass(frozen=True)
class Profile:
    """Averages over predictions and their texts."""

    rows: int
    label_shares: Mapping[str, float]  # share of the predictions with each label; the sum may exceed 1
    means: Mapping[str, float]  # confidence, value, tokens_per_row, unknown_token_share; as available

    @property
    def frequent_labels(self) -> dict[str, float]:
        """The shares of the most frequent labels, in descending order."""
        ranked = sorted(self.label_shares.items(), key=lambda item: -item[1])
        return dict(ranked[:_MOST_LABELS])

    def plain(self) -> dict[str, Any]:
        """The profile as plain JSON, with the most frequent labels only."""
        return {"rows": self.rows, "label_shares": self.frequent_labels, "means": dict(self.means)}


def observed(prediction: Mapping[str, Any]) -> tuple[list[str], dict[str, float]]:
    """The labels of a prediction in plain JSON, and its confidence and value, as far as it has them."""
    labels: list[str] = []
    numbers: dict[str, float] = {}
    probabilities = prediction.get("probabilities")
    if probabilities:
        values = probabilities.values() if isinstance(probabilities, Mapping) else probabilities
        numbers["confidence"] = float(max(values))
    if "label" in prediction:
        labels = [str(prediction["label"])]
    elif "labels" in prediction:
        labels = [str(label) for label in prediction["labels"]] or [NONE]
    elif "spans" in prediction:
        spans = prediction["spans"]
        labels = sorted({str(span["label"]) for span in spans}) or [NONE]
        if spans and all("score" in span for span in spans):
            numbers["confidence"] = float(np.mean([span["score"] for span in spans]))
    elif "answer" in prediction:
        labels = [NONE if prediction["answer"] is None else "(answer)"]
    if isinstance(prediction.get("score"), int | float):
        numbers["confidence"] = float(prediction["score"])
    if isinstance(prediction.get("value"), int | float):
        numbers["value"] = float(prediction["value"])
    return labels, numbers


@dataclass
class _Means:
    """Weighted sums, in which each new prediction weighs slightly more than the one before."""

    weight: float = 1.0  # weight of the next prediction
    rows: int = 0
    total: float = 0.0
    labels: dict[str, float] = field(default_factory=dict)
    sums: dict[str, float] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)

    def add(self, labels: Iterable[str], numbers: Mapping[str, float], growth: float) -> None:
        self.rows += 1
        self.total += self.weight
        for label in labels:
            self.labels[label] = self.labels.get(label, 0.0) + self.weight
        for name, value in numbers.items():
            self.sums[name] = self.sums.get(name, 0.0) + self.weight * value
            self.weights[name] = self.weights.get(name, 0.0) + self.weight
        self.weight *= growth
        if self.weight > _MOST_WEIGHT:
            self._scale(1 / self.weight)

    def _scale(self, factor: float) -> None:
        self.weight *= factor
        self.total *= factor
        for values in (self.labels, self.sums, self.weights):
            values.update({name: value * factor for name, value in values.items()})

    def profile(self) -> Profile:
        total = self.total or 1.0
        return Profile(
            self.rows,
            {label: weight / total for label, weight in self.labels.items()},
            {name: value / self.weights[name] for name, value in self.sums.items()},
        )


def profile_of(
    predictions: Iterable[Mapping[str, Any]], lengths: SequenceOf[tuple[int, int]] = ()
) -> Profile:
    """The profile of stored predictions; `lengths` are the tokens and unknown tokens of each row."""
    means = _Means()
    for number, prediction in enumerate(predictions):
        labels, numbers = observed(prediction)
        if number < len(lengths):
            numbers |= _of_lengths(*lengths[number])
        means.add(labels, numbers, 1.0)
    return means.profile()


class Drift:
    """The profile of the recent predictions of a model, next to that of its training."""

    def __init__(self, unknown_id: int | None, reference: Profile | None) -> None:
        self.reference = reference
        self._unknown_id = unknown_id
        self._means = _Means()
        self._lock = threading.Lock()

    @property
    def served(self) -> Profile:
        """The profile of the last predictions, about `WINDOW` of them."""
        with self._lock:
            return self._means.profile()

    @staticmethod
    def reads(fields: Collection[str]) -> bool:
        """Whether predictions with these fields have anything that is counted."""
        return not _FIELDS.isdisjoint(fields)

    def add(self, predictions: SequenceOf[Any], sequences: SequenceOf[Sequence]) -> None:
        """Count predictions; `sequences` has the sequences of all predictions, with the position as `group`.

        For a prediction that is None, only the tokens are counted.
        """
        lengths = lengths_of(sequences, len(predictions), self._unknown_id)
        with self._lock:
            for prediction, (tokens, unknown) in zip(predictions, lengths, strict=True):
                labels, numbers = observed(_fields_of(prediction))
                self._means.add(labels, numbers | _of_lengths(tokens, unknown), 1 + 1 / WINDOW)

    def plain(self) -> dict[str, Any]:
        """Both profiles and their differences as plain JSON."""
        served, reference = self.served, self.reference
        found: dict[str, Any] = {
            "served": served.plain(),
            "training": None if reference is None else reference.plain(),
        }
        if reference is not None and served.rows:
            found["difference"] = difference(served, reference)
        return found


def difference(served: Profile, reference: Profile) -> dict[str, Any]:
    """By how much the served predictions differ: the largest change of a label's share, and of each mean."""
    names = served.label_shares.keys() | reference.label_shares.keys()
    changes = {
        name: served.label_shares.get(name, 0.0) - reference.label_shares.get(name, 0.0) for name in names
    }
    largest = max(changes, key=lambda name: abs(changes[name]), default=None)
    means = {
        name: value - reference.means[name] for name, value in served.means.items() if name in reference.means
    }
    return {
        "label": largest,
        "label_share": None if largest is None else changes[largest],
        "means": means,
    }


def lengths_of(sequences: SequenceOf[Sequence], rows: int, unknown_id: int | None) -> list[tuple[int, int]]:
    """The tokens and the unknown tokens of each row, over all of its sequences."""
    lengths, unknown = [0] * rows, [0] * rows
    for sequence in sequences:
        lengths[sequence.group] += len(sequence)
        if unknown_id is not None:
            unknown[sequence.group] += int(np.count_nonzero(sequence.ids == unknown_id))
    return list(zip(lengths, unknown, strict=True))


def _of_lengths(tokens: int, unknown: int) -> dict[str, float]:
    return {"tokens_per_row": float(tokens), "unknown_token_share": unknown / max(1, tokens)}


def _fields_of(prediction: Any) -> Mapping[str, Any]:
    """The fields of a prediction that `observed` reads."""
    if isinstance(prediction, Mapping) or not is_dataclass(prediction):
        return prediction if isinstance(prediction, Mapping) else {}
    return {f.name: getattr(prediction, f.name) for f in fields(prediction) if f.name in _FIELDS}
