"""A task of one's own, whole: ordinal regression, for labels that have an order, such as 1 to 5 stars.

    bertune train reviews.csv model.name=minilm data.label=stars task.name=examples/ordinal_task.py
    bertune predict runs/reviews new.csv task.name=examples/ordinal_task.py

Learned are the chances of going on from each level to the next, of the texts that reach it (CORN; Shi, Cao &
Raschka 2023, Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional Probabilities).
A mistake by two levels then costs more than a mistake by one, which classification does not know, and no
level has to lie midway between its neighbours, as it would for regression.

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

from bertune.config import Section
from bertune.data.columns import ColumnNames, Columns, cell_text, name_of, number_in, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, did_you_mean, listed
from bertune.metrics.classification import confusion_matrix
from bertune.metrics.mistakes import Fact, Mistakes, mistake, worst
from bertune.metrics.scores import Scores
from bertune.nn.batch import Batch
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.parts.texts import TEXT_COLUMNS
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Example:
    """A text, or a pair, and its level."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class LevelPrediction:
    """The level in the middle, as likely to be too low as too high, and the probability of every one."""

    label: str
    probabilities: dict[str, float]


class OrdinalOptions(Section):
    """The keys of [task] beside name."""

    levels: tuple[str, ...] | None = Field(
        None, min_length=2, description="labels from the lowest to the highest; default: numbers by size"
    )

    @field_validator("levels", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


class FittedOrdinal(FittedTask):
    """The task when it knows its levels, from the lowest to the highest."""

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        place = {level: number for number, level in enumerate(self.labels)}
        for example in examples:
            if example.gold is not None and example.gold not in place:
                hint = did_you_mean(example.gold, self.labels) or f" There are {listed(self.labels)}."
                raise DataError(f'{example.origin}: the level "{example.gold}" is none of those known.{hint}')
        sequences = tokenizer.encode([e.texts for e in examples], max_length)
        gold = [None if e.gold is None else place[e.gold] for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForSequenceClassification", len(self.labels) - 1)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The sum and the number of terms: a level asks only the texts that reach it."""
        assert batch.gold is not None
        step_K = torch.arange(outputs.shape[1], device=outputs.device)
        gold_S1 = batch.gold[:, None]
        goes_on_SK = (gold_S1 > step_K).float()
        terms_SK = binary_cross_entropy_with_logits(outputs.float(), goes_on_SK, reduction="none")
        is_asked_SK = gold_S1 >= step_K
        return terms_SK[is_asked_SK].sum(), is_asked_SK.sum()

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> LevelPrediction:
        goes_on_K = 1 / (1 + np.exp(-outputs[0].astype(np.float64)))
        reaches = [1.0, *np.cumprod(goes_on_K).tolist(), 0.0]
        level = sum(chance > 0.5 for chance in reaches[1:])
        chances = (here - above for here, above in pairwise(reaches))
        return LevelPrediction(self.labels[level], dict(zip(self.labels, chances, strict=True)))

    def score(self, predictions: SequenceOf[LevelPrediction], examples: SequenceOf[Example]) -> Scores:
        place = {level: number for number, level in enumerate(self.labels)}
        gold_N = np.array([place[e.gold] for e in examples if e.gold is not None])
        found_N = np.array([place[p.label] for p in predictions])
        away_N = np.abs(gold_N - found_N)
        kappa = None
        if len({*gold_N, *found_N}) > 1:  # else it is 0 / 0
            every = np.arange(len(self.labels))  # a level that does not occur counts as a step all the same
            kappa = float(cohen_kappa_score(gold_N, found_N, labels=every, weights="quadratic"))
        values: dict[str, float | None] = {
            "qwk": kappa,
            "mae": float(away_N.mean()),
            "accuracy": float((away_N == 0).mean()),
            "within_one": float((away_N <= 1).mean()),
        }
        confusion = confusion_matrix(gold_N, found_N, len(self.labels)).tolist()
        return Scores(values, {"labels": list(self.labels), "confusion_matrix": confusion})

    def mistakes(self, predictions: SequenceOf[LevelPrediction], examples: SequenceOf[Example]) -> Mistakes:
        place = {level: number for number, level in enumerate(self.labels)}
        away = [
            abs(place[p.label] - place[e.gold]) if e.gold in place else 0
            for p, e in zip(predictions, examples, strict=True)
        ]
        shown = [
            mistake(
                examples[at],
                away[at],
                [
                    Fact("given", str(examples[at].gold), "right"),
                    Fact("predicted", predictions[at].label, "wrong"),
                ],
            )
            for at in worst(levels or None for levels in away)
        ]
        return Mistakes(
            title="Furthest off",
            unit="text",
            num=len(away),
            num_wrong=sum(map(bool, away)),
            what="were given another level than the data has",
            order="Those most levels off come first",
            measure="levels off: {}",
            shown=tuple(shown),
        )


class Ordinal(Task):
    """One of several levels that have an order, by the chances of going on from each (CORN)."""

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
                f'{row.origin}: the level in column "{columns.label}" is missing. Fill it in or drop the row'
            )
        return Example(row_id, row.origin, texts, level)

    def fit(self, examples: SequenceOf[Example]) -> FittedTask:
        counts = Counter(e.gold for e in examples if e.gold is not None)
        levels = self.options.levels or tuple(sorted(counts, key=lambda level: number_in(level) or 0.0))
        named = next((e for e in examples if e.gold is not None and number_in(e.gold) is None), None)
        if self.options.levels is None and named is not None:
            raise DataError(
                f'{named.origin}: the level "{named.gold}" is no number, so its place is not known. '
                f"Say task.levels=LOWEST,…,HIGHEST; there are {listed(sorted(counts))}"
            )
        if len(levels) < 2:
            raise DataError(
                f"{examples[0].origin.file}: every one of the {len(examples):,} rows has the level "
                f'"{levels[0]}". Is data.label the right column?'
            )
        note = f"levels: {' < '.join(f'{level} ({counts[level]:,})' for level in levels)}"
        found: FittedTask = self.fitted(levels, [note])
        return found

    def stratify_key(self, example: Example) -> Hashable:
        return example.gold


TASK = Ordinal
