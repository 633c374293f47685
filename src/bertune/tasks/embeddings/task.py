"""Embeddings: a vector for each text, near the vectors of texts that mean the same.

Dimensions: S sequences, H numbers of a vector, N examples, R texts of an example.
"""

import math
from collections.abc import Hashable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator

from bertune.config import Section
from bertune.data.columns import ColumnNames, Columns, cell_text, name_of, number_in, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.metrics import correlation, retrieval
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.retrieval import triplet_accuracy
from bertune.metrics.scores import Scores
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.embeddings.error_analysis import wrong_likeness, wrong_neighbours
from bertune.tasks.embeddings.vectors import (
    VectorPrediction,
    Vectors,
    WithVectors,
    collection,
    likeness_by_size,
    normalized,
    retrieval_by_size,
    save_as_sentence_transformer,
    vectors_of,
)
from bertune.tasks.head_spec import HeadSpec
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

_MOST_IDS = 2**24  # integers below this are exact in float32


@dataclass(frozen=True, slots=True)
class Example:
    """An anchor, its positive and perhaps a negative; or two texts and their similarity; or one text."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: float | None = None


class EmbeddingsOptions(Section):
    """Settings under [task] when task.name is embeddings."""

    loss: Literal["auto", "in_batch_negatives", "cosent", "mse"] = Field(
        "auto",
        description="in_batch_negatives for pairs and triplets; cosent or mse for pairs with a score; auto: "
        "in_batch_negatives or cosent, as the columns have it",
    )
    scale: float = Field(
        20.0, gt=0, description="what cosines are multiplied by in the loss: 1 / temperature"
    )
    matryoshka_dims: tuple[int, ...] = Field(
        (), description="vector sizes that are to work when cut off there, as 384,128,64; default: whole ones"
    )

    @field_validator("matryoshka_dims", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(","))
        return (value,) if isinstance(value, int) else value

    @field_validator("matryoshka_dims")
    @classmethod
    def _some_numbers(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in value):
            raise ValueError("a vector has at least one number")
        return value


@dataclass(frozen=True, eq=False)
class FittedEmbeddings(FittedTask):
    """Embeddings that know the range of the scores and how few examples a step may have."""

    low: float = 0.0  # the lowest score, which mse maps to a cosine of 0
    width: float = 1.0  # the highest score minus the lowest; mse maps the highest to 1
    fewest: int = 1  # examples that a step needs for its loss to compare anything

    @property
    def least_batch_size(self) -> int:
        return self.fewest

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "step"

    def label_names(self, example: Example) -> tuple[str, ...]:
        return ()

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """A sequence for each text; its gold is its place in the example, the score, and which text it is."""
        rows = [(group, role) for group, e in enumerate(examples) for role in range(len(e.texts))]
        sequences = tokenizer.encode([(examples[g].texts[role],) for g, role in rows], max_length)
        known: dict[bytes, int] = {}
        found = []
        for sequence, (group, role) in zip(sequences, rows, strict=True):
            number = known.setdefault(sequence.ids.tobytes(), len(known)) % _MOST_IDS
            score = examples[group].gold
            gold = np.array([role, math.nan if score is None else score, number], np.float32)
            found.append(replace(sequence, group=group, gold=gold))
        return found

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModel", 0, least_width=max(self.options.matryoshka_dims, default=1))

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.embeddings.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> VectorPrediction:
        return WithVectors(normalized(np.stack(outputs)))

    def decode_vector(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> Vectors:
        if len(outputs) != 1:
            raise DataError(
                f"{example.origin}: a vector belongs to one text, and there are {len(outputs)}. Give single "
                "texts, or name one column with data.text"
            )
        (vector_H,) = normalized(np.stack(outputs))
        found: Vectors = vector_H
        return found

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        scores = {e.gold for e in examples}
        if len(scores) == 1 and None not in scores:
            raise DataError(
                f"{examples[0].origin}: this pair has the score {scores.pop():g}, as have all "
                f"{len(examples):,} to score, so no correlation is defined. Give pairs of different scores"
            )
        return self

    def score(self, predictions: SequenceOf[VectorPrediction], examples: SequenceOf[Example]) -> Scores:
        values: dict[str, float | None] = dict.fromkeys(self.task.scores)
        similar_NR = np.array([p.similarities for p in predictions])
        if examples[0].gold is not None:
            gold_N = np.array([e.gold for e in examples], np.float64)
            found = correlation.correlations(gold_N, similar_NR[:, 0])
            values |= {"spearman": found["spearman"], "pearson": found["pearson"]}
            values["main_score"] = values["spearman"]
            details = correlation.details(gold_N, similar_NR[:, 0], ("gold score", "cosine"), False)
            details["tables"] += likeness_by_size(predictions, gold_N, self.options.matryoshka_dims)
            return Scores(values, details)
        texts = collection(predictions, [e.texts for e in examples])
        ranks = retrieval.ranks_of(*texts)
        values |= retrieval.of_ranks(ranks)
        values["main_score"] = values["mrr@10"]
        if similar_NR.shape[1] == 2:
            values["triplet_accuracy"] = triplet_accuracy(similar_NR[:, 0], similar_NR[:, 1])
        details = retrieval.details(ranks, len(texts[1]))
        details["tables"] += retrieval_by_size(*texts, self.options.matryoshka_dims)
        return Scores(values, details)

    def warnings(
        self,
        predictions: SequenceOf[VectorPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        vectors_NH = np.stack([vectors_of(p)[0] for p in predictions])
        # The mean cosine between all vectors is the square of their mean's length.
        likeness = float(np.square(vectors_NH.mean(0)).sum())
        if len(predictions) < 2 or likeness < 0.99:
            return []
        return [
            f"collapsed: all texts have nearly the same vector (mean cosine {likeness:.3f}). Usual remedies: "
            "a lower train.lr (2e-5), more train.warmup, a larger train.batch_size"
        ]

    def mistakes(self, predictions: SequenceOf[VectorPrediction], examples: SequenceOf[Example]) -> Mistakes:
        found = wrong_neighbours if examples[0].gold is None else wrong_likeness
        return found(predictions, examples)

    def save_extras(self, folder: Path, max_length: int) -> None:
        save_as_sentence_transformer(folder, max_length)


class Embeddings(Task):
    """A vector per text: the mean over its tokens (Reimers & Gurevych 2019), learned from texts that belong
    together, with all others of the step as negatives (Henderson et al. 2017, section 4.4), or from scores of
    similarity (CoSENT, Su 2022; or squared error of the cosine). Cut-off vectors: Kusupati et al. 2022.
    """

    Options = EmbeddingsOptions
    Prediction = VectorPrediction
    Fitted = FittedEmbeddings
    primary: ClassVar[str] = "main_score"
    scores: ClassVar[tuple[str, ...]] = (
        "main_score", "spearman", "mrr@10", "recall@1", "recall@10", "pearson", "triplet_accuracy",
    )  # fmt: skip
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=(
            ("text",), ("sentence",),
            ("anchor", "positive", "negative"), ("query", "positive", "negative"), ("anchor", "positive"),
            ("query", "positive"), ("sentence1", "sentence2"), ("text1", "text2"), ("text_a", "text_b"),
            ("question1", "question2"), ("query", "document"), ("query", "passage"), ("query", "title"),
            ("query", "answer"), ("question", "answer"), ("premise", "hypothesis"),
        ),
        label=("score", "similarity", "similarity_score", "relatedness_score", "label", "分数"),
        num_texts=(2, 3),
    )  # fmt: skip
    noun: ClassVar[str] = "example"
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"anchor": "how do i reset my password", "positive": "forgot my login"},
        {"anchor": "where is my parcel", "positive": "track an order"},
        {"anchor": "cancel the contract", "positive": "i want to quit"},
        {"anchor": "send me an invoice", "positive": "a bill by mail please"},
    )

    @property
    def needs_label(self) -> bool:
        return False

    @property
    def predicts_single_texts(self) -> bool:
        return True

    def parse(self, row: Row, columns: Columns) -> Example:
        texts = read_texts(row, columns)
        row_id = name_of(row, columns)
        if columns.label is None:
            return Example(row_id, row.origin, texts)
        if len(texts) != 2:
            raise DataError(
                f'{row.origin}: a score, as in column "{columns.label}", belongs to two texts, and there are '
                f"{len(texts)}: {', '.join(columns.text)}. Name two with data.text, or take that column out"
            )
        cell = cell_text(row, columns.label).strip()
        gold = number_in(cell)
        if gold is None:
            raise DataError(
                f'{row.origin}: "{cell[:60]}" in column "{columns.label}" is no number, and should say how '
                "similar the two texts are. Correct it or remove the row; pairs without scores that belong "
                "together need no such column"
            )
        return Example(row_id, row.origin, texts, gold)

    def group_key(self, example: Example) -> Hashable:
        return example.texts[0]

    def fit(self, examples: SequenceOf[Example]) -> FittedEmbeddings:
        gold = [e.gold for e in examples if e.gold is not None]
        wanted = self.options.loss
        if wanted != "auto" and (wanted == "in_batch_negatives") == bool(gold):
            fits = "cosent or mse" if gold else "in_batch_negatives"
            raise ConfigError(
                f"task.loss={wanted}: {examples[0].origin.file} has {len(examples[0].texts)} texts in a row "
                f"{'with' if gold else 'without'} a score, for which there is {fits}"
            )
        if gold and min(gold) == max(gold):
            raise DataError(
                f"{examples[0].origin.file}: every score is {gold[0]:g}, so there is nothing to tell apart. "
                "Is data.label the right column? Pairs that all belong together need no scores"
            )
        if gold:
            loss = "cosent" if wanted == "auto" else wanted
            learned = f"scores from {min(gold):g} to {max(gold):g} ({loss})"
        else:
            kinds = "triplets" if len(examples[0].texts) == 3 else "pairs"
            learned = f"{kinds}, against all other texts of a step (in_batch_negatives)"
        main = "spearman where there are scores, else mrr@10"
        made: FittedEmbeddings = self.fitted(notes=(f"learned from {learned}", f"main_score is {main}"))
        # A triplet has a negative of its own and mse looks at one pair; other losses compare examples.
        fewest = 1 if wanted == "mse" or len(examples[0].texts) == 3 else 2
        if not gold:
            return replace(made, fewest=fewest)
        return replace(made, low=min(gold), width=max(gold) - min(gold), fewest=fewest)


TASK = Embeddings
