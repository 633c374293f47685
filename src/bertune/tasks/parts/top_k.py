"""Which probabilities a prediction has: those of all labels where they are few, of the most probable else.

Dimensions: C labels.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bertune.config import CHANGEABLE, Section
from bertune.tasks import Output

MOST_NAMED = 100  # labels whose probabilities are all given by default
BEST = 10  # given by default where there are more

FloatArray = NDArray[np.float64]


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
    """The outputs behind a prediction, in fp32 as the model gave them: probabilities are made when needed,
    so that many predictions of many labels fit in memory."""

    outputs_C: Output
    labels: tuple[str, ...]
    to_probabilities: Callable[[Output], FloatArray]
    most: int  # probabilities that the prediction has

    def all(self, these: slice = slice(None)) -> FloatArray:
        """The probability of every label [C], or of some."""
        return self.to_probabilities(self.outputs_C)[these]

    def best(self) -> dict[str, float]:
        """Those that the prediction has."""
        return named(self.all(), self.labels, self.most)


class WithRawOutputs:
    """Probabilities that are made from raw outputs when asked for; no file stores the outputs."""

    raw: RawOutputs

    @property
    def probabilities(self) -> dict[str, float]:
        """Those that the prediction has."""
        return self.raw.best()


def num_named(wanted: int | str, num_labels: int) -> int:
    """How many probabilities a prediction has."""
    if isinstance(wanted, int):
        return min(wanted, num_labels)
    return num_labels if num_labels <= MOST_NAMED else BEST


def named(probabilities_C: FloatArray, labels: tuple[str, ...], most: int) -> dict[str, float]:
    """The highest probabilities by label, highest first; all of them in the order of labels."""
    if most >= len(labels):
        return dict(zip(labels, probabilities_C.tolist(), strict=True))
    least = np.partition(probabilities_C, -most)[-most]
    candidates = np.flatnonzero(~(probabilities_C < least))  # not ">=": what is no number must not vanish
    chosen = candidates[np.argsort(-probabilities_C[candidates], kind="stable")[:most]]
    return {labels[i]: float(probabilities_C[i]) for i in chosen}


def all_probabilities(prediction: Any, num_labels: int, these: slice = slice(None)) -> FloatArray:
    """The probabilities of all labels [C], or of some, of a prediction just made."""
    raw = getattr(prediction, "raw", None)
    if raw is not None:
        found: FloatArray = raw.all(these)
        return found
    assert len(prediction.probabilities) == num_labels, "scores are of predictions just made, not stored ones"
    return np.array(list(prediction.probabilities.values()))[these]


def probabilities_of(prediction: Any, labels: Collection[str]) -> dict[str, float]:
    """The probabilities of some labels, in the order of all; without those that a stored prediction lacks."""
    raw = getattr(prediction, "raw", None)
    if raw is None:
        return {label: p for label, p in prediction.probabilities.items() if label in labels}
    probabilities_C = raw.all()
    numbers = sorted(map(_numbered(raw.labels).__getitem__, labels))
    return {raw.labels[i]: float(probabilities_C[i]) for i in numbers}


@lru_cache(maxsize=2)
def _numbered(labels: tuple[str, ...]) -> dict[str, int]:
    return {label: number for number, label in enumerate(labels)}
