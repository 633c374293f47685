"""Owns ranking: how relevant a document is to a query, judged by the order that follows for each query."""

from collections import Counter
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import Columns, cell_text, name_of, number_in
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.metrics import ranking as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.tasks import Labels, Task
from bertune.tasks._listwise import drawn, listwise_loss
from bertune.tasks._queries import by_query, query_id, refuse_unranked, refuse_unsure_ids
from bertune.tasks._trec import trec_lines
from bertune.tasks._wrong_order import wrong_rankings
from bertune.tasks.classification import read_texts
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer


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
    highest: float | Literal["auto"] = Field(
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


class Ranking(Task):
    """The relevance of documents to queries by a cross-encoder (Nogueira and Cho 2019).

    The pointwise loss is the binary cross-entropy of the grade as a share of the highest; the listwise one
    the softmax cross-entropy among a query's documents, with grades as shares of their sum (ListNet, Cao et
    al. 2007, as in Bruch et al. 2019).
    """

    Options = RankingOptions
    Prediction = RelevancePrediction
    primary: ClassVar[str] = "ndcg@10"
    scores: ClassVar[tuple[str, ...]] = metrics.NAMES
    text_names: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("query", "document"), ("query", "passage"), ("query", "doc"), ("query", "text"), ("query", "title"),
        ("query", "answer"), ("query", "sentence"), ("question", "sentence"), ("question", "answer"),
        ("question", "passage"), ("question", "document"), ("text_a", "text_b"),
    )  # fmt: skip
    label_names: ClassVar[tuple[str, ...]] = (
        "grade", "relevance", "relevancy", "label", "score", "rel", "relevant", "target",
    )  # fmt: skip
    num_texts: ClassVar[tuple[int, ...]] = (2,)
    row_noun: ClassVar[str] = "pair"
    file_endings: ClassVar[tuple[str, ...]] = ("run", "qrels")
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"query": "how do caves form ?", "document": "water eats the rock away", "grade": 1},
        {"query": "how do caves form ?", "document": "bats live in caves", "grade": 0},
        {"query": "who wrote it ?", "document": "it was sold in may", "grade": 0},
        {"query": "who wrote it ?", "document": "ann is its author", "grade": 1},
    )

    def __init__(self, options: RankingOptions) -> None:
        super().__init__(options)
        self._highest = options.highest
        self._counts = Counter[str]()
        self._lone: Origin | None = None  # the first query with one document

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "group" if self._is_listwise else "sequence"

    @property
    def has_validation_loss(self) -> bool:
        return not self._is_listwise  # each document is predicted by itself

    @property
    def _is_listwise(self) -> bool:
        return bool(self.options.loss == "listwise")

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

    def labels(self, examples: SequenceOf[Example]) -> tuple[str, ...]:
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
        self._highest = highest if self.options.highest == "auto" else self.options.highest
        if self._highest <= 0:
            raise ConfigError(f"task.highest={self._highest:g}: the grade of full relevance is above 0")
        lone = {query for query, found in grades.items() if len(found) == 1}
        self._lone = next((e.origin for e in examples if e.query in lone), None)
        self._counts = Counter(
            queries=len(grades),
            irrelevant=sum(max(found) == 0 for found in grades.values()),
            single=len(lone),
            equal=sum(min(found) == max(found) for found in grades.values()),
        )
        return ()

    def notes(self) -> tuple[str, ...]:
        counts = self._counts
        if not counts:
            return ()
        note = f"training file: {counts['queries']:,} queries"
        if counts["irrelevant"]:
            note += (
                f", {counts['irrelevant']:,} of them without a relevant document: such are left out of scores"
            )
        if counts["single"]:
            note += (
                f"; {counts['single']:,} have one document, whose order is right whatever is predicted "
                f"(first: {self._lone})"
            )
        if self._is_listwise and counts["equal"]:
            note += (
                f"; {counts['equal']:,} have no documents of different grades, and are left out of training "
                "too (task.loss=pointwise uses them)"
            )
        return (note,)

    def settled(self) -> dict[str, Any]:
        return {"highest": self._highest}

    def names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else (f"grade {example.gold:g}",)

    def unit(self, example: Example) -> str:
        return example.texts[0]

    def lessons(self, examples: SequenceOf[Example]) -> list[list[int]] | None:
        """Positions of the examples of each query that has different grades; None where rows stand alone."""
        if not self._is_listwise:
            return None
        positions: dict[str, list[int]] = {}
        for position, example in enumerate(examples):
            positions.setdefault(example.query, []).append(position)
        lessons = [found for found in positions.values() if len({examples[i].gold for i in found}) > 1]
        if not lessons:
            raise DataError(
                f"{examples[0].origin.file}: none of the {len(positions):,} queries has documents of "
                "different grades, so there is nothing to learn listwise. Say task.loss=pointwise"
            )
        return lessons

    def encode(
        self,
        examples: SequenceOf[Example],
        tokenizer: Tokenizer,
        max_length: int | None,
        labels: Labels,
    ) -> list[Sequence]:
        sequences = tokenizer.encode([e.texts for e in examples], max_length)
        return [replace(s, gold=e.gold) for s, e in zip(sequences, examples, strict=True)]

    @property
    def varies(self) -> bool:
        return False  # what is drawn is as it was

    def vary(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        if not self._is_listwise:
            return sequences
        by_group: dict[int, list[Sequence]] = {}
        for sequence in sequences:
            by_group.setdefault(sequence.group, []).append(sequence)
        return [s for found in by_group.values() for s in drawn(found, self.options.list_size, random)]

    def head(self, labels: Labels) -> StandardHead:
        return StandardHead("AutoModelForSequenceClassification", 1)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.gold is not None
        logits_S, grades_S = outputs[:, 0].float(), batch.gold.float()
        if self._is_listwise:
            return listwise_loss(logits_S, grades_S, batch.groups_S)
        assert not isinstance(self._highest, str), "labels() settles it"
        target_S = (grades_S / self._highest).clamp(max=1)
        total = binary_cross_entropy_with_logits(logits_S, target_S, reduction="sum")
        return total, torch.tensor(len(target_S), device=total.device)

    def decode(
        self, outputs: list[Tensor], sequences: list[Sequence], example: Example, labels: Labels
    ) -> RelevancePrediction:
        return RelevancePrediction(float(outputs[0][0].double().sigmoid()))

    def check(self, examples: SequenceOf[Example], labels: Labels) -> None:
        refuse_unsure_ids(examples)
        refuse_unranked(examples)

    def score(
        self, predictions: SequenceOf[RelevancePrediction], examples: SequenceOf[Example], labels: Labels
    ) -> Scores:
        scores: dict[str, list[float]] = {}
        for prediction, example in zip(predictions, examples, strict=True):
            scores.setdefault(example.query, []).append(prediction.score)
        judged = [
            metrics.Judged(np.array(grades, np.float64), np.array(scores[query]))
            for query, grades in by_query(examples).items()
        ]
        return Scores(metrics.mean_scores(judged), metrics.details(judged))

    def also_write(self, examples: Any, predictions: Any) -> dict[str, Iterator[str]]:
        refuse_unsure_ids(examples)
        return trec_lines(examples, predictions)

    def warnings(
        self, predictions: SequenceOf[RelevancePrediction], examples: SequenceOf[Example], labels: Labels
    ) -> list[str]:
        scores = [p.score for p in predictions]
        if len(scores) < 2 or max(scores) - min(scores) > 1e-3:
            return []
        return [
            f"collapsed: every document has a relevance of about {scores[0]:.3g}. Usual remedies: a lower "
            "train.lr (2e-5), more train.warmup, another train.seed, more epochs"
        ]

    def mistakes(
        self, predictions: SequenceOf[RelevancePrediction], examples: SequenceOf[Example], labels: Labels
    ) -> Mistakes:
        return wrong_rankings(predictions, examples)


TASK = Ranking
