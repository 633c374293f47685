"""Regression: one number per text or pair of texts, such as the similarity of two sentences."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertune.data.columns import ColumnNames, Columns, cell_number, cell_text, name_of, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, all_have
from bertune.metrics import correlation
from bertune.metrics.details import baseline
from bertune.metrics.limitations import UNDEFINED, Limitation
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import Output, Task
from bertune.tasks.explained import Explained, OutputWeights, Target
from bertune.tasks.form import Form
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.parts.label_error_analysis import wrong_numbers
from bertune.tasks.parts.long_texts import DocumentOptions, FittedToTexts, mean_output
from bertune.tasks.parts.texts import TEXT_COLUMNS
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

_COLLAPSED = 0.01  # share of the range of the training data below which predictions count as equal
_MAX_ABSOLUTE = 1e30  # of a label, so that sums of squares stay finite in fp64


@dataclass(frozen=True, slots=True)
class Example:
    """A text or a pair of texts, and its number."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: float | None = None


@dataclass(frozen=True, slots=True)
class NumberPrediction:
    """The predicted number, in the unit of the training data."""

    value: float


class RegressionOptions(DocumentOptions):
    """Settings under [task] when task.name is regression."""

    low: float | Literal["auto"] = Field(
        "auto",
        description="the number that is scaled to 0 for training; auto: the minimum of the training data",
    )
    high: float | Literal["auto"] = Field(
        "auto",
        description="the number that is scaled to 1 for training; auto: the maximum of the training data",
    )


class FittedRegression(FittedToTexts):
    """Regression fitted to the range of the training data."""

    def label_names(self, example: Example) -> tuple[str, ...]:
        return ()

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        low, width = self._scale()
        sequences = self.encode_texts(examples, tokenizer, max_length)
        gold = [None if e.gold is None else (e.gold - low) / width for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    @property
    def output_scale(self) -> tuple[float, float]:
        return self._scale()

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForSequenceClassification", 1, "regression", activation="Identity")

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.regression.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> NumberPrediction:
        low, width = self._scale()
        return NumberPrediction(low + width * float(mean_output(outputs)[0]))

    def form(self, columns: tuple[str, ...]) -> Form:
        low, width = self._scale()
        return replace(super().form(columns), low=low, high=low + width)

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained:
        """The predicted number, in its unit."""
        _, width = self._scale()
        share = width / len(outputs)
        return Explained(None, tuple(OutputWeights.of_row(n, [0], [share]) for n in range(len(outputs))))

    def score(self, predictions: SequenceOf[NumberPrediction], examples: SequenceOf[Example]) -> Scores:
        gold_N = np.array([e.gold for e in examples], np.float64)
        predicted_N = np.array([p.value for p in predictions])
        details = correlation.details(gold_N, predicted_N, ("gold", "predicted"), True)
        details["baseline"] = baseline("rmse", float(gold_N.std()), "always the mean of this split")

        def weighted(weights_RN: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
            both = gold_N, predicted_N, weights_RN
            return correlation.correlations_of(*both) | correlation.errors_of(*both)

        return Scores.of(weighted, len(examples), details)

    def simple_targets(self, examples: SequenceOf[Example]) -> NDArray[Any]:
        low, width = self._scale()
        return np.array([(e.gold - low) / width for e in examples if e.gold is not None], np.float64)

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        gold = {e.gold for e in examples}
        if len(gold) > 1:
            return []
        fixed = dict.fromkeys(("pearson", "spearman", "pearson_spearman"), UNDEFINED)
        if len(examples) == 1:
            return [Limitation("there is only one text", fixed | {"r2": UNDEFINED})]
        fixed["r2"] = "0, or 1 if all predictions are exact"
        fact = f"{all_have(len(examples), 'text')} the number {gold.pop():g}"
        return [Limitation(fact, fixed)]

    def warnings(
        self,
        predictions: SequenceOf[NumberPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        values = [p.value for p in predictions]
        _, width = self._scale()
        if len({e.gold for e in examples}) < 2 or max(values) - min(values) > _COLLAPSED * width:
            return []
        return [
            f"collapsed: all texts are predicted as about {values[0]:.3g}. Usual remedies: a lower train.lr "
            "(2e-5), more train.warmup, another train.seed, more epochs"
        ]

    def mistakes(self, predictions: SequenceOf[NumberPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_numbers(predictions, examples)

    def _scale(self) -> tuple[float, float]:
        """The number that is scaled to 0, and the width of the range that is scaled to 0 to 1."""
        low, high = self.options.low, self.options.high
        assert not isinstance(low, str) and not isinstance(high, str), "fit() resolves the range"
        return low, high - low


class Regression(Task):
    """One number per text or pair, with squared error, as for STS-B (Devlin et al. 2019, section 4.1).

    Numbers are scaled to the range from 0 to 1 for training. The output layer of the saved model undoes the
    scaling, so that transformers also predicts in the unit of the training data.
    """

    Options = RegressionOptions
    Prediction = NumberPrediction
    Fitted = FittedRegression
    primary: ClassVar[str] = "pearson_spearman"
    scores: ClassVar[tuple[str, ...]] = (
        "pearson",
        "spearman",
        "pearson_spearman",
        "mse",
        "rmse",
        "mae",
        "r2",
    )
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=TEXT_COLUMNS,
        label=(
            "score", "label", "value", "similarity", "rating", "stars", "target", "relatedness_score", "y",
            "分数",
        ),
    )  # fmt: skip
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"sentence1": "a man plays a guitar", "sentence2": "a man plays music", "score": 4.0},
        {"sentence1": "a dog runs", "sentence2": "the train was late", "score": 0.0},
        {"sentence1": "a child sleeps", "sentence2": "a baby is asleep", "score": 5.0},
        {"sentence1": "two birds sing", "sentence2": "a bird is eating", "score": 2.5},
    )

    def parse(self, row: Row, columns: Columns) -> Example:
        texts = read_texts(row, columns)
        row_id = name_of(row, columns)
        if columns.label is None:
            return Example(row_id, row.origin, texts)
        cell = cell_text(row, columns.label).strip()
        gold = cell_number(row, columns.label, columns.decimal)
        if gold is None:
            raise DataError(
                f'{row.origin}: "{cell[:60]}" in column "{columns.label}" is not a number. Correct it or '
                "remove the row; if the labels are names, set task.name=classification"
            )
        if abs(gold) > _MAX_ABSOLUTE:
            raise DataError(
                f'{row.origin}: {cell[:60]} in column "{columns.label}" is too large: the maximum absolute '
                f"value is {_MAX_ABSOLUTE:g}. Correct it, remove the row, or rescale the column"
            )
        return Example(row_id, row.origin, texts, gold)

    def fit(self, examples: SequenceOf[Example]) -> FittedRegression:
        gold = [e.gold for e in examples if e.gold is not None]
        low = min(gold) if self.options.low == "auto" else self.options.low
        high = max(gold) if self.options.high == "auto" else self.options.high
        if low >= high:
            only = f"{all_have(len(gold), 'row')} the number {low:g}"
            empty = f"the range from {low:g} (task.low) to {high:g} (task.high) is empty"
            raise (DataError if "auto" in (self.options.low, self.options.high) else ConfigError)(
                f"{examples[0].origin.file}: {only if low == min(gold) == max(gold) else empty}. "
                "Expected at least two different numbers. Check that data.label is the right column, or set "
                "task.low to a smaller number than task.high"
            )
        note = f"numbers from {low:g} to {high:g} are scaled to 0 to 1 for training"
        fitted: FittedRegression = self.fitted(("value",), (note,), low=low, high=high)
        return fitted


TASK = Regression
