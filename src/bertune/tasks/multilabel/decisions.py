"""Calibration and decisions of multi-label classification.

Dimensions: N texts, C labels.
"""

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bertune.config import DecideConfig
from bertune.metrics.arrays import FloatArray
from bertune.metrics.decisions import ANSWER, REVIEW, DecisionRule
from bertune.tasks import Output
from bertune.tasks.parts.label_rules import SIDES, fit_labels_rule
from bertune.tasks.parts.long_texts import FittedToTexts, mean_output
from bertune.tasks.parts.top_k import all_probabilities
from bertune.text.sequences import Sequence


class DecidesLabels(FittedToTexts):
    """The members of the fitted task that concern probabilities and decisions."""

    def probabilities_of_labels(self, output_C: Output) -> FloatArray:
        """The probability of each label, [C]: the sigmoid of the output."""
        return _sigmoid(self.calibrated(output_C))

    @property
    def has_cutoffs(self) -> bool:
        """Whether the decision rule has cutoffs of labels, which replace task.threshold."""
        return self.rule is not None and bool(self.rule.cutoffs)

    @cached_property
    def label_cutoffs(self) -> FloatArray:
        """The probability from which on each label is predicted: task.threshold, or that of the rule."""
        cutoffs = {} if self.rule is None else self.rule.cutoffs or {}
        return np.array([cutoffs.get(label, self.options.threshold) for label in self.labels])

    @cached_property
    def _thresholds(self) -> FloatArray:
        """The confidence from which on "no" and "yes" are given for each label; infinite: never."""
        assert self.rule is not None and self.rule.thresholds is not None
        found = [[self.rule.thresholds.get(f"{label}: {side}") for label in self.labels] for side in SIDES]
        return np.array([[np.inf if t is None else t for t in of_side] for of_side in found])

    def reviewed(self, probabilities_C: FloatArray) -> tuple[str | None, list[str] | None]:
        """The decision about a text, and the labels that are marked for review."""
        if self.rule is None or self.rule.thresholds is None:
            return None, None
        is_yes_C = probabilities_C >= self.label_cutoffs
        confidence_C = np.where(is_yes_C, probabilities_C, 1 - probabilities_C)
        is_review_C = confidence_C < self._thresholds[is_yes_C.astype(int), np.arange(len(self.labels))]
        review = [self.labels[i] for i in np.flatnonzero(is_review_C)]
        return (REVIEW if review else ANSWER), review

    @property
    def calibration_kind(self) -> Literal["sigmoid"]:
        return "sigmoid"

    calibration_unit: ClassVar[str] = "texts with all of their labels"
    answer_noun: ClassVar[str] = "label"

    def calibration_terms(
        self, outputs: list[Output], sequences: list[Sequence], example: Any
    ) -> tuple[FloatArray, NDArray[np.int64]] | None:
        if example.gold is None:
            return None
        gold_1C = np.isin(self.labels, example.gold)[None].astype(np.int64)
        return mean_output(outputs)[None].astype(np.float64), gold_1C

    questions_together: ClassVar[int] = len(SIDES)

    def judged(self, prediction: Any, example: Any) -> Iterator[tuple[str, float, bool]]:
        """An answer per label. "Yes" and "no" are separate questions, because "no" is nearly always right for
        a rare label."""
        chances_C = all_probabilities(prediction, len(self.labels)).tolist()
        yes, gold = set(prediction.labels), set(example.gold or ())
        for label, chance in zip(self.labels, chances_C, strict=True):
            is_yes = label in yes
            confidence = chance if is_yes else 1 - chance
            yield f"{label}: {SIDES[is_yes]}", confidence, is_yes != (label in gold)

    label_error_kind: ClassVar[Literal["each"]] = "each"

    def label_evidence(self, prediction: Any, example: Any) -> tuple[NDArray[np.bool_], FloatArray]:
        return np.isin(self.labels, example.gold or ()), all_probabilities(prediction, len(self.labels))

    def suggested_label(
        self, prediction: Any, example: Any, wrong: SequenceOf[int], predicted: SequenceOf[int]
    ) -> tuple[str, str]:
        gold, changed = example.gold or (), {self.labels[number] for number in wrong}
        kept = [label for label in gold if label not in changed]
        added = [label for label in self.labels if label in changed and label not in gold]
        if self.options.label_format == "multi_hot":  # names would not be read next to vectors
            given, suggested = ([int(x in names) for x in self.labels] for names in (gold, [*kept, *added]))
            return str(given), str(suggested)
        separator = self.options.separator
        return separator.join(gold), separator.join([*kept, *added])

    def fit_cutoffs(
        self, target: DecideConfig, probabilities_NC: FloatArray, examples: SequenceOf[Any]
    ) -> DecisionRule:
        gold_NC = np.array([np.isin(self.labels, e.gold or ()) for e in examples])
        return fit_labels_rule(target, probabilities_NC, gold_NC, self.labels)


def _sigmoid(output_C: Output) -> FloatArray:
    """The sigmoid, in fp64."""
    with np.errstate(over="ignore"):  # exp of a large number overflows to infinity: the probability is 0
        probabilities_C: FloatArray = 1 / (1 + np.exp(-output_C.astype(np.float64)))
    return probabilities_C
