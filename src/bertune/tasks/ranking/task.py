"""Ranking: scores the relevance of a document to a query; the metrics judge the order within each query."""

import math
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import ColumnNames, Columns, cell_text, name_of, number_in, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.metrics import ranking as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.ranking.error_analysis import wrong_rankings
from bertune.tasks.ranking.queries import by_query, drawn, query_id, refuse_unranked, refuse_unsure_ids
from bertune.tasks.ranking.trec import trec_lines
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


@dataclass(frozen=True, slots=True)
class Example:
    """A query, one of its documents, and the grade of that: 0 for no relevance, higher for more."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: float | None = None
    query_id: str = ""

    @property
    def query(self) -> str:
        """What rows of one query have in common."""
        return self.query_id or self.texts[0]


@dataclass(frozen=True, slots=True)
class RelevancePrediction:
    """How relevant the document is, from 0 to 1; only the order among documents of one query counts."""

    score: float


class RankingOptions(Section):
    """Settings under [task] when task.name is ranking."""

    loss: Literal["pointwise", "listwise"] = Field(
        "pointwise",
        description="pointwise: each document by itself; listwise: a query's documents against each other, "
        "and train.batch_size counts queries",
    )
    max_grade: float | Literal["auto"] = Field(
        "auto", description="the grade that stands for full relevance; auto: the highest of the training file"
    )
    query_id: str = Field(
        "",
        description="column with the ids of queries, which TREC files then have and by which rows belong "
        "together; default: the query's words, and q1, q2 … there",
        json_schema_extra=CHANGEABLE,
    )
    list_size: int = Field(
        32,
        ge=2,
        description="listwise: the most documents of a query that a step takes, drawn anew each time, at "
        "least one of them relevant",
    )

    @property
    def is_listwise(self) -> bool:
        """Whether the documents of a query are learned from together."""
        return self.loss == "listwise"


class FittedRanking(FittedTask):
    """Ranking that knows the grade of full relevance."""

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "group" if self.options.is_listwise else "sequence"

    @property
    def has_validation_loss(self) -> bool:
        return not self.options.is_listwise  # each document is predicted by itself

    def label_names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else (f"grade {example.gold:g}",)

    def group_training_examples(self, examples: SequenceOf[Example]) -> list[list[int]] | None:
        """Positions of the examples of each query that has different grades; None where rows stand alone."""
        if not self.options.is_listwise:
            return None
        positions: dict[str, list[int]] = {}
        for position, example in enumerate(examples):
            positions.setdefault(example.query, []).append(position)
        groups = [found for found in positions.values() if len({examples[i].gold for i in found}) > 1]
        if not groups:
            raise DataError(
                f"{examples[0].origin.file}: none of the {len(positions):,} queries has documents of "
                "different grades, so there is nothing to learn listwise. Say task.loss=pointwise"
            )
        return groups

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        sequences = tokenizer.encode([e.texts for e in examples], max_length)
        return [replace(s, gold=e.gold) for s, e in zip(sequences, examples, strict=True)]

    @property
    def is_resampled(self) -> bool:
        return False  # `resample` only leaves sequences out; those it keeps are unchanged

    def resample(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        if not self.options.is_listwise:
            return sequences
        by_group: dict[int, list[Sequence]] = {}
        for sequence in sequences:
            by_group.setdefault(sequence.group, []).append(sequence)
        return [s for found in by_group.values() for s in drawn(found, self.options.list_size, random)]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForSequenceClassification", 1)

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.ranking.loss import loss

        return loss(self, outputs, batch)

    def decode(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> RelevancePrediction:
        return RelevancePrediction(_sigmoid(float(outputs[0][0])))

    def for_scoring(self, examples: SequenceOf[Example]) -> "FittedRanking":
        refuse_unsure_ids(examples)
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
        return Scores(metrics.mean_scores(judged), metrics.details(judged))

    def extra_prediction_files(
        self, examples: SequenceOf[Example], predictions: SequenceOf[RelevancePrediction]
    ) -> dict[str, Iterator[str]]:
        refuse_unsure_ids(examples)
        return trec_lines(examples, predictions)

    def warnings(
        self,
        predictions: SequenceOf[RelevancePrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        scores = [p.score for p in predictions]
        if len(scores) < 2 or max(scores) - min(scores) > 1e-3:
            return []
        return [
            f"collapsed: every document has a relevance of about {scores[0]:.3g}. Usual remedies: a lower "
            "train.lr (2e-5), more train.warmup, another train.seed, more epochs"
        ]

    def mistakes(
        self, predictions: SequenceOf[RelevancePrediction], examples: SequenceOf[Example]
    ) -> Mistakes:
        return wrong_rankings(predictions, examples)


class Ranking(Task):
    """The relevance of documents to queries by a cross-encoder (Nogueira and Cho 2019).

    The pointwise loss is the binary cross-entropy of the grade as a share of the highest; the listwise one
    the softmax cross-entropy among a query's documents, with grades as shares of their sum (ListNet, Cao et
    al. 2007, as in Bruch et al. 2019).
    """

    Options = RankingOptions
    Prediction = RelevancePrediction
    Fitted = FittedRanking
    primary: ClassVar[str] = "ndcg@10"
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
        texts = read_texts(row, columns)
        row_id = name_of(row, columns)
        of_query = query_id(row, self.options.query_id, columns)
        if columns.label is None:
            return Example(row_id, row.origin, texts, None, of_query)
        cell = cell_text(row, columns.label).strip()
        grade = number_in(cell)
        if grade is None or grade < 0:
            raise DataError(
                f'{row.origin}: "{cell[:60]}" in column "{columns.label}" is no grade. Give a number, 0 for '
                "what is not relevant and more for what is (TREC's -1 and -2 count as 0), or remove the row"
            )
        return Example(row_id, row.origin, texts, grade, of_query)

    def group_key(self, example: Example) -> str:
        return example.texts[0]

    def fit(self, examples: SequenceOf[Example]) -> FittedRanking:
        refuse_unsure_ids(examples)
        grades = by_query(examples)
        highest = max(max(found) for found in grades.values())
        if highest == 0:
            raise DataError(
                f"{examples[0].origin.file}: every one of the {len(examples):,} rows has the grade 0, so "
                "there is nothing to learn. Is data.label the right column?"
            )
        if max(map(len, grades.values())) == 1:
            raise DataError(
                f"{examples[0].origin}: this query has one document, as have all {len(grades):,} to train "
                "on, so there is nothing to rank. Rows of one query must have it in the same words; single "
                "pairs are for task.name=classification or regression"
            )
        if self.options.max_grade != "auto":
            highest = self.options.max_grade
        if highest <= 0:
            raise ConfigError(f"task.max_grade={highest:g}: the grade of full relevance is above 0")
        note = _training_note(examples, grades, self.options.is_listwise)
        made: FittedRanking = self.fitted((), (note,), max_grade=highest)
        return made


def _training_note(examples: SequenceOf[Example], grades: dict[str, list[float]], is_listwise: bool) -> str:
    """How many queries the training file has, and which of them do not count for scores or for the loss."""
    note = f"training file: {len(grades):,} queries"
    num_irrelevant = sum(max(found) == 0 for found in grades.values())
    if num_irrelevant:
        note += f", {num_irrelevant:,} of them without a relevant document: such are left out of scores"
    single = {query for query, found in grades.items() if len(found) == 1}
    if single:
        first = next(e.origin for e in examples if e.query in single)
        note += (
            f"; {len(single):,} have one document, whose order is right whatever is predicted "
            f"(first: {first})"
        )
    num_equal = sum(min(found) == max(found) for found in grades.values())
    if is_listwise and num_equal:
        note += (
            f"; {num_equal:,} have no documents of different grades, and are left out of training "
            "too (task.loss=pointwise uses them)"
        )
    return note


def _sigmoid(logit: float) -> float:
    """In float64; only negative numbers are exponentiated, so nothing overflows."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    share = math.exp(logit)
    return share / (1 + share)


TASK = Ranking
