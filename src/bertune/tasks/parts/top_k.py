"""The probabilities in a prediction: all of them for few labels, otherwise the highest.

Dimensions: C labels.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from pydantic import Field, field_validator

from bertune.config import CHANGEABLE, Section
from bertune.metrics.arrays import FloatArray
from bertune.tasks import Output

MOST_NAMED = 100  # maximum number of labels for which all probabilities are given by default
BEST = 10  # number of probabilities given by default for more labels


class TopKOptions(Section):
    """The key of [task] that limits the probabilities of a prediction."""

    top_k: int | Literal["auto"] = Field(
        "auto",
        description="number of probabilities in each prediction, highest first; auto: all, in label order, "
        f"for up to {MOST_NAMED} labels, otherwise the {BEST} highest; scores always use all probabilities",
        json_schema_extra=CHANGEABLE,
    )

    @field_validator("top_k")
    @classmethod
    def _at_least_one(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError('must be a positive integer or "auto"')
        return value


@dataclass(frozen=True, slots=True)
class RawOutputs:
    """The outputs behind a prediction, in fp32 as computed by the model.

    Probabilities are computed when needed, so that many predictions of many labels fit in memory.
    """

    outputs_C: Output
    labels: tuple[str, ...]
    to_probabilities: Callable[[Output], FloatArray]
    most: int  # number of probabilities in the prediction

    def all(self, these: slice = slice(None)) -> FloatArray:
        """The probabilities of all labels, [C], or of a slice of them."""
        return self.to_probabilities(self.outputs_C)[these]

    def best(self) -> dict[str, float]:
        """The probabilities given in the prediction, by label."""
        return named(self.all(), self.labels, self.most)


class WithRawOutputs:
    """Mixin that computes probabilities from raw outputs on access; files do not store the outputs."""

    raw: RawOutputs

    @property
    def probabilities(self) -> dict[str, float]:
        """The probabilities given in the prediction, by label."""
        return self.raw.best()


def num_named(top_k: int | str, num_labels: int) -> int:
    """The number of probabilities in a prediction, from the option `top_k`."""
    if isinstance(top_k, int):
        return min(top_k, num_labels)
    return num_labels if num_labels <= MOST_NAMED else BEST


def named(probabilities_C: FloatArray, labels: tuple[str, ...], most: int) -> dict[str, float]:
    """The `most` highest probabilities by label, highest first; or all of them, in the order of labels."""
    if most >= len(labels):
        return dict(zip(labels, probabilities_C.tolist(), strict=True))
    lowest = np.partition(probabilities_C, -most)[-most]
    candidates = np.flatnonzero(~(probabilities_C < lowest))  # not ">=", which would drop NaN
    chosen = candidates[np.argsort(-probabilities_C[candidates], kind="stable")[:most]]
    return {labels[i]: float(probabilities_C[i]) for i in chosen}


def all_probabilities(prediction: Any, num_labels: int, these: slice = slice(None)) -> FloatArray:
    """The probabilities of all labels, [C], or of a slice of them, of a prediction that was not stored."""
    raw = getattr(prediction, "raw", None)
    if raw is not None:
        probabilities: FloatArray = raw.all(these)
        return probabilities
    assert len(prediction.probabilities) == num_labels, "stored predictions may lack probabilities"
    return np.array(list(prediction.probabilities.values()))[these]


def probabilities_of(prediction: Any, labels: Collection[str]) -> dict[str, float]:
    """The probabilities of some labels, in label order, without those that a stored prediction lacks."""
    raw = getattr(prediction, "raw", None)
    if raw is None:
        return {label: p for label, p in prediction.probabilities.items() if label in labels}
    probabilities_C = raw.all()
    numbers = sorted(map(_numbered(raw.labels).__getitem__, labels))
    return {raw.labels[i]: float(probabilities_C[i]) for i in numbers}


@lru_cache(maxsize=2)
def _numbered(labels: tuple[str, ...]) -> dict[str, int]:
    return {label: number for number, label in enumerate(labels)}
