"""A complete custom task: ordinal regression, for ordered labels such as 1 to 5 stars.

    bertune train reviews.csv model.name=minilm data.label=stars task.name=examples/ordinal_task.py
    bertune predict runs/reviews new.csv task.name=examples/ordinal_task.py

The model predicts, for each level, the probability that a text that reaches this level also reaches the next
one (CORN; Shi, Cao & Raschka 2023, Deep Neural Networks for Rank-Consistent Ordinal Regression Based On
Conditional Probabilities). Unlike in classification, an error by two levels costs more than an error by one;
unlike in regression, levels need not be equally spaced.

Dimensions: S sequences, N texts, K levels above the lowest.
"""

from collections import Counter
from collections.abc import Hashable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, field_validator
from sklearn.metrics import cohen_kappa_score
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bertune.config import Section, comma_separated
from bertune.data.columns import ColumnNames, Columns, cell_text, name_of, number_in, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, listed
from bertune.metrics.classification import confusion_matrix
from bertune.metrics.mistakes import Fact, Mistakes, mistake, worst
from bertune.metrics.scores import Scores
from bertune.nn.batch import Batch
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.parts.label_names import unknown_label
from bertune.tasks.parts.texts import TEXT_COLUMNS
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Example:
    """A text or pair with its level."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class LevelPrediction:
    """The predicted level, which is the median of the distribution, and the probability of each level."""

    label: str
    probabilities: dict[str, float]


class OrdinalOptions(Section):
    """The options of the task: the keys of [task] other than name."""

    levels: tuple[str, ...] | None = Field(
        None, min_length=2, description="labels from lowest to highest; default: in numerical order"
    )

    @field_validator("levels", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return comma_separated(value)


class FittedOrdinal(FittedTask):
    """The task fitted to its levels, which are the labels from lowest to highest."""

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        place = {level: number for number, level in enumerate(self.labels)}
        for example in examples:
            if example.gold is not None and example.gold not in place:
                raise unknown_label(example.origin, example.gold, self.labels)
        sequences = tokenizer.encode([e.texts for e in examples], max_length)
        gold = [None if e.gold is None else place[e.gold] for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForSequenceClassification", len(self.labels) - 1)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum of the losses and their number; each level has a loss only for texts that reach it."""
        assert batch.gold is not None
        step_K = torch.arange(outputs.shape[1], device=outputs.device)
        gold_S1 = batch.gold[:, None]
        targets_SK = (gold_S1 > step_K).float()
        losses_SK = binary_cross_entropy_with_logits(outputs.float(), targets_SK, reduction="none")
        counts_SK = gold_S1 >= step_K
        return losses_SK[counts_SK].sum(), counts_SK.sum()

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> LevelPrediction:
        conditional_K = 1 / (1 + np.exp(-outputs[0].astype(np.float64)))
        reaches = [1.0, *np.cumprod(conditional_K).tolist(), 0.0]
        level = sum(probability > 0.5 for probability in reaches[1:])
        probabilities = (this - above for this, above in pairwise(reaches))
        return LevelPrediction(self.labels[level], dict(zip(self.labels, probabilities, strict=True)))

    def score(self, predictions: SequenceOf[LevelPrediction], examples: SequenceOf[Example]) -> Scores:
        place = {level: number for number, level in enumerate(self.labels)}
        gold_N = np.array([place[e.gold] for e in examples if e.gold is not None])
        predicted_N = np.array([place[p.label] for p in predictions])
        error_N = np.abs(gold_N - predicted_N)
        kappa = None
        if len({*gold_N, *predicted_N}) > 1:  # with a single level, kappa is 0 / 0
            levels = np.arange(len(self.labels))  # levels that do not occur still count in the distances
            kappa = float(cohen_kappa_score(gold_N, predicted_N, labels=levels, weights="quadratic"))
        values: dict[str, float | None] = {
            "qwk": kappa,
            "mae": float(error_N.mean()),
            "accuracy": float((error_N == 0).mean()),
            "within_one": float((error_N <= 1).mean()),
        }
        confusion = confusion_matrix(gold_N, predicted_N, len(self.labels)).tolist()
        return Scores(values, {"labels": list(self.labels), "confusion_matrix": confusion})

    def mistakes(self, predictions: SequenceOf[LevelPrediction], examples: SequenceOf[Example]) -> Mistakes:
        place = {level: number for number, level in enumerate(self.labels)}
        errors = [
            abs(place[p.label] - place[e.gold]) if e.gold in place else 0
            for p, e in zip(predictions, examples, strict=True)
        ]
        shown = [
            mistake(
                examples[at],
                errors[at],
                [
                    Fact("gold", str(examples[at].gold), "right"),
                    Fact("predicted", predictions[at].label, "wrong"),
                ],
            )
            for at in worst(levels or None for levels in errors)
        ]
        return Mistakes(
            title="Largest errors",
            unit="text",
            num=len(errors),
            num_wrong=sum(map(bool, errors)),
            what="were assigned a wrong level",
            order="Sorted by the distance in levels",
            measure="levels off: {}",
            shown=tuple(shown),
        )


class Ordinal(Task):
    """Ordinal regression: one of several ordered levels, by conditional probabilities (CORN)."""

    Options = OrdinalOptions
    Prediction = LevelPrediction
    Fitted = FittedOrdinal
    primary: ClassVar[str] = "qwk"
    scores: ClassVar[tuple[str, ...]] = ("qwk", "mae", "accuracy", "within_one")
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=TEXT_COLUMNS, label=("stars", "rating", "level", "grade", "score", "label")
    )
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "fell apart at once", "stars": 1},
        {"text": "a waste of money", "stars": 1},
        {"text": "nothing special but useful", "stars": 3},
        {"text": "does what it should", "stars": 3},
        {"text": "best i ever had", "stars": 5},
        {"text": "simply perfect", "stars": 5},
    )

    def parse(self, row: Row, columns: Columns) -> Example:
        texts, row_id = read_texts(row, columns), name_of(row, columns)
        if columns.label is None:
            return Example(row_id, row.origin, texts)
        level = cell_text(row, columns.label).strip()
        if not level:
            raise DataError(
                f'{row.origin}: the level in column "{columns.label}" is empty. Fill it in or remove the row'
            )
        return Example(row_id, row.origin, texts, level)

    def fit(self, examples: SequenceOf[Example]) -> FittedTask:
        counts = Counter(e.gold for e in examples if e.gold is not None)
        levels = self.options.levels or tuple(sorted(counts, key=lambda level: number_in(level) or 0.0))
        named = next((e for e in examples if e.gold is not None and number_in(e.gold) is None), None)
        if self.options.levels is None and named is not None:
            raise DataError(
                f'{named.origin}: the level "{named.gold}" is not a number, so the order of the levels is '
                f"unknown. Set task.levels=LOWEST,…,HIGHEST; the data has {listed(sorted(counts))}"
            )
        if len(levels) < 2:
            raise DataError(
                f'{examples[0].origin.file}: all {len(examples):,} rows have the level "{levels[0]}". At '
                "least two levels are needed; check that data.label is the right column"
            )
        note = f"levels: {' < '.join(f'{level} ({counts[level]:,})' for level in levels)}"
        fitted: FittedTask = self.fitted(levels, [note])
        return fitted

    def stratify_key(self, example: Example) -> Hashable:
        return example.gold


TASK = Ordinal
