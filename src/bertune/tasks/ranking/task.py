"""Ranking: the relevance of documents to queries, evaluated by the order within each query."""

import math
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import ColumnNames, Columns, cell_number, cell_text, name_of, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, all_have, counted, none_has
from bertune.metrics import ranking as metrics
from bertune.metrics.limitations import Limitation
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores, first_rows
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.explained import Explained, OutputWeights, Target
from bertune.tasks.form import Form, FormField
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.ranking.error_analysis import wrong_rankings
from bertune.tasks.ranking.queries import (
    by_query,
    query_id,
    refuse_ambiguous_ids,
    refuse_lists,
    refuse_unranked,
    sample_documents,
)
from bertune.tasks.ranking.trec import trec_lines
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


_COLLAPSED = 1e-3  # difference of relevances, from 0 to 1, below which predictions count as equal


@dataclass(frozen=True, slots=True)
class Example:
    """A query, one of its documents, and the relevance grade: 0 is not relevant, higher is more relevant."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: float | None = None
    query_id: str = ""

    @property
    def query(self) -> str:
        """The key shared by all rows of a query: its ID, or its text if there are no IDs."""
        return self.query_id or self.texts[0]


@dataclass(frozen=True, slots=True)
class RelevancePrediction:
    """The relevance of a document from 0 to 1. Scores depend only on the order within a query."""

    score: float


class RankingOptions(Section):
    """Settings under [task] when task.name is ranking."""

    loss: Literal["pointwise", "listwise"] = Field(
        "pointwise",
        description="pointwise: each document on its own; listwise: all documents of a query together, with "
        "train.batch_size counting queries",
    )
    max_grade: float | Literal["auto"] = Field(
        "auto", description="the grade of a fully relevant document; auto: the maximum of the training data"
    )
    relevant: float = Field(
        metrics.RELEVANT,
        gt=0,
        allow_inf_nan=False,
        description="minimum grade that counts as relevant for MRR, MAP, precision and recall; nDCG uses the "
        "grades themselves",
        json_schema_extra=CHANGEABLE,
    )
    query_id: str = Field(
        "",
        description="column of query IDs, which group the rows and are written to TREC files; default: rows "
        "are grouped by query text, and TREC files have q1, q2, …",
        json_schema_extra=CHANGEABLE,
    )
    list_size: int = Field(
        32,
        ge=2,
        description="listwise: maximum number of documents per query in a step; longer lists are sampled at "
        "every step, with at least one relevant document",
    )

    @property
    def is_listwise(self) -> bool:
        """Whether the loss compares the documents of a query."""
        return self.loss == "listwise"


class FittedRanking(FittedTask):
    """Ranking fitted to the maximum grade of the training data."""

    is_scored_by_group: ClassVar[bool] = True
    pipeline_tag = "text-ranking"

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "group" if self.options.is_listwise else "sequence"

    @property
    def has_validation_loss(self) -> bool:
        return not self.options.is_listwise  # documents are predicted one by one

    def label_names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else (f"grade {example.gold:g}",)

    def group_training_examples(self, examples: SequenceOf[Example]) -> list[list[int]] | None:
        """Indices of the examples of each query with different grades; None if the loss is pointwise."""
        if not self.options.is_listwise:
            return None
        positions: dict[str, list[int]] = {}
        for position, example in enumerate(examples):
            positions.setdefault(example.query, []).append(position)
        groups = [group for group in positions.values() if len({examples[i].gold for i in group}) > 1]
        if not groups:
            raise DataError(
                f"{examples[0].origin.file}: {none_has(len(positions), 'query')} documents of "
                "different grades, which the listwise loss requires. Set task.loss=pointwise"
            )
        return groups

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        sequences = tokenizer.encode([e.texts for e in examples], max_length)
        return [replace(s, gold=e.gold) for s, e in zip(sequences, examples, strict=True)]

    @property
    def is_resampled(self) -> bool:
        return False  # `resample` drops sequences, but does not change the others

    def resample(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        if not self.options.is_listwise:
            return sequences
        by_group: dict[int, list[Sequence]] = {}
        for sequence in sequences:
            by_group.setdefault(sequence.group, []).append(sequence)
        size = self.options.list_size
        return [s for group in by_group.values() for s in sample_documents(group, size, random)]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForSequenceClassification", 1, activation="Sigmoid")

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.ranking.loss import loss

        return loss(self, outputs, batch)

    def decode(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> RelevancePrediction:
        return RelevancePrediction(_sigmoid(float(self.calibrated(outputs[0])[0])))

    @property
    def calibration_kind(self) -> Literal["sigmoid"] | None:
        # The listwise loss does not make scores of single documents probabilities, nor do grades between 0
        # and 1.
        return "sigmoid" if not self.options.is_listwise and self.options.max_grade == 1 else None

    calibration_unit: ClassVar[str] = "documents"

    def calibration_terms(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        if example.gold not in (0, 1):
            return None
        return outputs[0][None, :1].astype(np.float64), np.array([[int(example.gold)]])

    def form(self, columns: tuple[str, ...]) -> Form:
        query, document = columns
        return Form((FormField(query), FormField(document, "rows")))

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained:
        """The logit of the relevance."""
        return Explained(None, (OutputWeights.of_row(0, [0], [1.0]),))

    def for_scoring(self, examples: SequenceOf[Example]) -> "FittedRanking":
        refuse_ambiguous_ids(examples)
        refuse_unranked(examples)
        return self

    def score(self, predictions: SequenceOf[RelevancePrediction], examples: SequenceOf[Example]) -> Scores:
        scores: dict[str, list[float]] = {}
        for prediction, example in zip(predictions, examples, strict=True):
            scores.setdefault(example.query, []).append(prediction.score)
        judged = [
            metrics.Judged(np.array(grades, np.float64), np.array(scores[query]))
            for query, grades in by_query(examples).items()
        ]
        first_Q = first_rows([e.query for e in examples])
        of_queries = metrics.query_scores(judged, self.options.relevant)
        return Scores.of(
            lambda weights_RN: metrics.weighted_means(of_queries, weights_RN[:, first_Q]),
            len(examples),
            metrics.details(judged, self.options.relevant),
        )

    def extra_prediction_files(
        self, examples: SequenceOf[Example], predictions: SequenceOf[RelevancePrediction]
    ) -> dict[str, Iterator[str]]:
        refuse_ambiguous_ids(examples)
        return trec_lines(examples, predictions)

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        grades = [np.array(of_query, np.float64) for of_query in by_query(examples).values()]
        return metrics.limitations(grades, self.options.relevant)

    def warnings(
        self,
        predictions: SequenceOf[RelevancePrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        scores = [p.score for p in predictions]
        if len(scores) < 2 or max(scores) - min(scores) > _COLLAPSED:
            return []
        return [
            f"collapsed: all documents have a predicted relevance of about {scores[0]:.3g}. Usual remedies: "
            "a lower train.lr (2e-5), more train.warmup, another train.seed, more epochs"
        ]

    def mistakes(
        self, predictions: SequenceOf[RelevancePrediction], examples: SequenceOf[Example]
    ) -> Mistakes:
        return wrong_rankings(predictions, examples, self.options.relevant)


class Ranking(Task):
    """The relevance of documents to queries, predicted by a cross-encoder (Nogueira & Cho 2019).

    The pointwise loss is the binary cross-entropy with the grade divided by the maximum grade as its target.
    The listwise loss is the softmax cross-entropy over the documents of a query, with the grades divided by
    their sum as its target (ListNet, Cao et al. 2007, as in Bruch et al. 2019).
    """

    Options = RankingOptions
    Prediction = RelevancePrediction
    Fitted = FittedRanking
    primary: ClassVar[str] = "ndcg@10"

    @property
    def is_calibrated(self) -> bool:
        return not self.options.is_listwise

    scores: ClassVar[tuple[str, ...]] = metrics.NAMES
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=(
            ("query", "document"), ("query", "passage"), ("query", "doc"), ("query", "text"),
            ("query", "title"), ("query", "answer"), ("query", "sentence"), ("question", "sentence"),
            ("question", "answer"), ("question", "passage"), ("question", "document"), ("text_a", "text_b"),
        ),
        label=("grade", "relevance", "relevancy", "label", "score", "rel", "relevant", "target"),
        num_texts=(2,),
    )  # fmt: skip
    noun: ClassVar[str] = "pair"
    extra_suffixes: ClassVar[tuple[str, ...]] = ("run", "qrels")
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"query": "how do caves form ?", "document": "water eats the rock away", "grade": 1},
        {"query": "how do caves form ?", "document": "bats live in caves", "grade": 0},
        {"query": "who wrote it ?", "document": "it was sold in may", "grade": 0},
        {"query": "who wrote it ?", "document": "ann is its author", "grade": 1},
    )

    def parse(self, row: Row, columns: Columns) -> Example:
        refuse_lists(row, columns)
        texts = read_texts(row, columns)
        row_id = name_of(row, columns)
        of_query = query_id(row, self.options.query_id, columns)
        if columns.label is None:
            return Example(row_id, row.origin, texts, None, of_query)
        cell = cell_text(row, columns.label).strip()
        grade = cell_number(row, columns.label, columns.decimal)
        if grade is None or grade < 0:
            raise DataError(
                f'{row.origin}: "{cell[:60]}" in column "{columns.label}" is not a relevance grade. Expected '
                "0 for not relevant or a positive number (replace TREC's -1 and -2 with 0). Correct it or "
                "remove the row"
            )
        return Example(row_id, row.origin, texts, grade, of_query)

    def group_key(self, example: Example) -> str:
        return example.texts[0]

    def fit(self, examples: SequenceOf[Example]) -> FittedRanking:
        refuse_ambiguous_ids(examples)
        grades = by_query(examples)
        highest = max(max(of_query) for of_query in grades.values())
        if highest == 0:
            raise DataError(
                f"{examples[0].origin.file}: {all_have(len(examples), 'row')} the grade 0. Training needs "
                "relevant documents. Check that data.label is the right column"
            )
        if max(map(len, grades.values())) == 1:
            raise DataError(
                f"{examples[0].origin}: this query has only one document, and so do all {len(grades):,} "
                "training queries, so there is nothing to rank. Rows of the same query must have identical "
                "query texts; for single pairs, set task.name=classification or task.name=regression"
            )
        if self.options.max_grade != "auto":
            highest = self.options.max_grade
        if highest <= 0:
            raise ConfigError(f"task.max_grade must be greater than 0, got {highest:g}")
        note = _training_note(examples, grades, self.options)
        fitted: FittedRanking = self.fitted((), (note,), max_grade=highest)
        return fitted


def _training_note(
    examples: SequenceOf[Example], grades: dict[str, list[float]], options: RankingOptions
) -> str:
    """The number of training queries, and how many of them are excluded from scores or from the loss."""
    note = f"training file: {counted(len(grades), 'query')}"
    num_irrelevant = sum(max(of_query) == 0 for of_query in grades.values())
    if num_irrelevant:
        note += f", {num_irrelevant:,} of them without a relevant document (scores ignore such queries)"
    num_low = sum(0 < max(of_query) < options.relevant for of_query in grades.values())
    if num_low:
        note += (
            f"; {num_low:,} without a grade of at least task.relevant={options.relevant:g} (only nDCG uses "
            "such queries)"
        )
    single = {query for query, of_query in grades.items() if len(of_query) == 1}
    if single:
        first = next(e.origin for e in examples if e.query in single)
        note += f"; {len(single):,} with a single document, whose order cannot be wrong (first: {first})"
    num_equal = sum(min(of_query) == max(of_query) for of_query in grades.values())
    if options.is_listwise and num_equal:
        note += (
            f"; {num_equal:,} without documents of different grades, which are not used for training "
            "(task.loss=pointwise uses them)"
        )
    return note


def _sigmoid(logit: float) -> float:
    """The sigmoid in fp64. Only negative numbers are exponentiated, so nothing overflows."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    exponential = math.exp(logit)
    return exponential / (1 + exponential)


TASK = Ranking
