"""Calibration and decisions of question answering."""

from abc import abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bertune.metrics import answers as metrics
from bertune.tasks import Output
from bertune.tasks.parts.long_texts import FittedInWindows
from bertune.text.sequences import Sequence


class DecidesAnswers(FittedInWindows):
    """The members of the fitted task that concern probabilities and decisions."""

    @abstractmethod
    def candidates(
        self, outputs: list[Output], sequences: list[Sequence], example: Any
    ) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
        """The predicted candidate, all candidates, and the margin of "no answer"."""

    @property
    def calibration_kind(self) -> Literal["top"]:
        return "top"

    calibration_unit: ClassVar[str] = "questions"
    answer_noun: ClassVar[str] = "question"

    def calibration_terms(
        self, outputs: list[Output], sequences: list[Sequence], example: Any
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        """The scores of the candidates, that of the prediction first, and whether it is right."""
        if example.gold is None:
            return None
        chosen, n_best, _ = self.candidates(outputs, sequences, example)
        scores = [chosen["score"], *(one["score"] for one in n_best if one is not chosen)]
        return np.array([scores]), np.array([int(_is_right(chosen["answer"], example))])

    def judged(self, prediction: Any, example: Any) -> list[tuple[str, float, bool]]:
        """Right answers match a gold answer as in the exact match of SQuAD."""
        return [("", prediction.score, not _is_right(prediction.answer, example))]


def _is_right(answer: str | None, example: Any) -> bool:
    gold = [one["text"] for one in example.gold or ()]
    return metrics.exact_match(gold, answer or "", metrics.has_no_spaces([gold])) == 1
