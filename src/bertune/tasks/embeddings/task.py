"""Embeddings: a vector per text, close to the vectors of texts with a similar meaning.

Dimensions: S sequences, H numbers of a vector, N examples, R texts of an example.
"""

import math
from collections.abc import Callable, Hashable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, field_validator

from bertune.config import Section, comma_separated
from bertune.data.columns import ColumnNames, Columns, cell_number, cell_text, name_of, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, counted
from bertune.metrics import correlation, retrieval
from bertune.metrics.arrays import FloatArray
from bertune.metrics.limitations import UNDEFINED, Limitation
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.retrieval import triplets_in_order
from bertune.metrics.scores import Scores, first_rows, weighted_mean
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.embeddings.error_analysis import wrong_neighbours, wrong_similarities
from bertune.tasks.embeddings.vectors import (
    VectorPrediction,
    Vectors,
    WithVectors,
    collection,
    correlation_by_size,
    normalized,
    relevant_documents,
    retrieval_by_size,
    save_as_sentence_transformer,
    vectors_of,
)
from bertune.tasks.explained import Explained, OutputWeights, Target, item_position
from bertune.tasks.form import Form, FormField
from bertune.tasks.head_spec import HeadSpec
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

_COLLAPSED = 0.99  # mean cosine from which all vectors count as nearly the same
_MAX_IDS = 2**24  # integers below this are exact in fp32


@dataclass(frozen=True, slots=True)
class Example:
    """An anchor with a positive and an optional negative, two texts with their similarity, or one text."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: float | None = None


class EmbeddingsOptions(Section):
    """Settings under [task] when task.name is embeddings."""

    loss: Literal["auto", "in_batch_negatives", "cosent", "mse"] = Field(
        "auto",
        description="in_batch_negatives: for pairs and triplets; cosent, mse: for pairs with a score; auto: "
        "in_batch_negatives or cosent, depending on the columns",
    )
    scale: float = Field(
        20.0, gt=0, description="factor by which the loss multiplies cosines (1 / temperature)"
    )
    matryoshka_dims: tuple[int, ...] = Field(
        (),
        description="sizes to which vectors can be truncated after training, such as 384,128,64; default: "
        "only the full size",
    )

    @field_validator("matryoshka_dims", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return (value,) if isinstance(value, int) else comma_separated(value)

    @field_validator("matryoshka_dims")
    @classmethod
    def _positive(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in value):
            raise ValueError("must be positive integers")
        return value


@dataclass(frozen=True, eq=False)
class FittedEmbeddings(FittedTask):
    """Embeddings fitted to the range of the training scores."""

    is_scored_by_group: ClassVar[bool] = True
    pipeline_tag = "sentence-similarity"

    low: float = 0.0  # the lowest score, which mse maps to a cosine of 0
    width: float = 1.0  # the highest minus the lowest score; mse maps the highest to a cosine of 1
    min_examples: int = 1  # examples that a step needs for the loss to compare anything

    @property
    def least_batch_size(self) -> int:
        return self.min_examples

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "step"

    def label_names(self, example: Example) -> tuple[str, ...]:
        return ()

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """One sequence per text. Its gold is [role, score, text number]; equal texts have equal numbers."""
        rows = [(group, role) for group, e in enumerate(examples) for role in range(len(e.texts))]
        sequences = tokenizer.encode([(examples[g].texts[role],) for g, role in rows], max_length)
        numbers: dict[bytes, int] = {}
        encoded = []
        for sequence, (group, role) in zip(sequences, rows, strict=True):
            number = numbers.setdefault(sequence.ids.tobytes(), len(numbers)) % _MAX_IDS
            score = examples[group].gold
            gold = np.array([role, math.nan if score is None else score, number], np.float32)
            encoded.append(replace(sequence, group=group, gold=gold))
        return encoded

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModel", 0, least_width=max(self.options.matryoshka_dims, default=1))

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.embeddings.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> VectorPrediction:
        return WithVectors(normalized(np.stack(outputs)))

    def form(self, columns: tuple[str, ...]) -> Form:
        return Form((FormField("text", "rows"),))  # single texts, which a page compares with each other

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained | None:
        """The cosine between the first text and another, as a function of the first; default: the closest.

        The length of the first vector is treated as a constant, so that the cosine is linear in it. Returns
        None for a single text, because there is no cosine to explain.
        """
        if len(outputs) == 1:
            return None
        unit_RH = normalized(np.stack(outputs))
        closest = int((unit_RH[1:] @ unit_RH[0]).argmax())
        other = closest if target is None else item_position(target, len(outputs) - 1, "similarity")
        length = max(float(np.linalg.norm(outputs[0])), 1e-12)  # as in `normalized`
        weights_H = unit_RH[1 + other] / length
        return Explained(other, (OutputWeights.of_row(0, range(len(weights_H)), weights_H),))

    def sequence_texts(self, example: Example, number: int) -> tuple[str, ...]:
        return (example.texts[number],)

    def decode_vector(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> Vectors:
        if len(outputs) != 1:
            raise DataError(
                f"{example.origin}: expected a single text to encode, got {len(outputs)} texts. Pass single "
                "texts, or set data.text to one column"
            )
        vectors_1H = normalized(np.stack(outputs))
        vector_H: Vectors = vectors_1H[0]
        return vector_H

    @property
    def vector_sizes(self) -> tuple[int, ...]:
        sizes: tuple[int, ...] = self.options.matryoshka_dims
        return sizes

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        scores = {e.gold for e in examples}
        if len(scores) == 1 and None not in scores:
            raise DataError(
                f"{examples[0].origin}: this pair has the score {scores.pop():g}, and so do all "
                f"{len(examples):,} pairs to score, so no correlation is defined. Use pairs with different "
                "scores"
            )
        return self

    def score(self, predictions: SequenceOf[VectorPrediction], examples: SequenceOf[Example]) -> Scores:
        cosines_NR = np.array([p.similarities for p in predictions])
        if examples[0].gold is not None:
            gold_N = np.array([e.gold for e in examples], np.float64)
            details = correlation.details(gold_N, cosines_NR[:, 0], ("gold score", "cosine"), False)
            details["tables"] += correlation_by_size(predictions, gold_N, self.options.matryoshka_dims)

            def of_pairs(weights_RN: FloatArray) -> dict[str, FloatArray]:
                found = correlation.correlations_of(gold_N, cosines_NR[:, 0], weights_RN)
                return {"main_score": found["spearman"], **found}

            return self._scored(of_pairs, len(examples), details)
        texts = collection(predictions, [e.texts for e in examples])
        ranks = retrieval.ranks_of(*texts)
        of_queries, first_Q = retrieval.of_queries(ranks), first_rows([e.texts[0] for e in examples])

        def of_retrieval(weights_RN: FloatArray) -> dict[str, FloatArray]:
            found = {
                name: weighted_mean(weights_RN[:, first_Q], each_Q) for name, each_Q in of_queries.items()
            }
            if cosines_NR.shape[1] == 2:
                is_closer_N = triplets_in_order(cosines_NR[:, 0], cosines_NR[:, 1])
                found["triplet_accuracy"] = weighted_mean(weights_RN, is_closer_N)
            return {"main_score": found["mrr@10"], **found}

        details = retrieval.details(ranks, len(texts[1]))
        details["tables"] += retrieval_by_size(*texts, self.options.matryoshka_dims)
        return self._scored(of_retrieval, len(examples), details)

    def _scored(
        self, defined: Callable[[FloatArray], dict[str, FloatArray]], num_rows: int, details: dict[str, Any]
    ) -> Scores:
        """All scores of the task, of which only some are defined. Texts to be retrieved are not resampled."""

        def weighted(weights_RN: FloatArray) -> dict[str, FloatArray]:
            found, undefined_R = defined(weights_RN), np.full(len(weights_RN), np.nan)
            return {name: found.get(name, undefined_R) for name in self.task.scores}

        return Scores.of(weighted, num_rows, details)

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        if examples[0].gold is not None:
            names = ("mrr@10", "recall@1", "recall@10", "triplet_accuracy")
            return [Limitation("the pairs have scores", dict.fromkeys(names, UNDEFINED), is_usual=True)]
        names = ("spearman", "pearson", *(("triplet_accuracy",) if len(examples[0].texts) == 2 else ()))
        usual = Limitation("the texts have no scores", dict.fromkeys(names, UNDEFINED), is_usual=True)
        fixed, most = retrieval.settled_scores(*relevant_documents([e.texts for e in examples]))
        if not fixed:
            return [usual]
        if "mrr@10" in fixed:
            fixed["main_score"] = fixed["mrr@10"]
        fact = f"no query is compared with more than {most:,} text{'s' if most > 1 else ''}"
        return [usual, Limitation(fact, fixed)]

    def warnings(
        self,
        predictions: SequenceOf[VectorPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        vectors_NH = np.stack([vectors_of(p)[0] for p in predictions])
        # The mean cosine over all pairs of vectors is the squared length of the mean vector.
        mean_cosine = float(np.square(vectors_NH.mean(0)).sum())
        if len(predictions) < 2 or mean_cosine < _COLLAPSED:
            return []
        return [
            f"collapsed: all texts have nearly the same vector (mean cosine {mean_cosine:.3f}). Usual "
            "remedies: a lower train.lr (2e-5), more train.warmup, a larger train.batch_size"
        ]

    def mistakes(self, predictions: SequenceOf[VectorPrediction], examples: SequenceOf[Example]) -> Mistakes:
        analysis = wrong_neighbours if examples[0].gold is None else wrong_similarities
        return analysis(predictions, examples)

    def save_extras(self, folder: Path, max_length: int) -> None:
        save_as_sentence_transformer(folder, max_length)


class Embeddings(Task):
    """One vector per text: the mean of its token embeddings (Reimers & Gurevych 2019). Training uses related
    texts with in-batch negatives (Henderson et al. 2017, section 4.4), or similarity scores (CoSENT, Su 2022;
    or the squared error of the cosine). Vectors can be trained for truncation (Kusupati et al. 2022).
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
        {"anchor": "send me an invoice", "positive": "please mail me the bill"},
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
                f'{row.origin}: a similarity score (column "{columns.label}") requires two texts, got '
                f"{len(texts)}: {', '.join(columns.text)}. Set data.text to two columns, or remove column "
                f'"{columns.label}"'
            )
        cell = cell_text(row, columns.label).strip()
        gold = cell_number(row, columns.label, columns.decimal)
        if gold is None:
            raise DataError(
                f'{row.origin}: "{cell[:60]}" in column "{columns.label}" is not a number; this column must '
                "hold a similarity score. Correct it or remove the row; if all pairs are related texts "
                "without scores, remove the column"
            )
        return Example(row_id, row.origin, texts, gold)

    def group_key(self, example: Example) -> Hashable:
        return example.texts[0]

    def fit(self, examples: SequenceOf[Example]) -> FittedEmbeddings:
        gold = [e.gold for e in examples if e.gold is not None]
        loss = self.options.loss
        if loss != "auto" and (loss == "in_batch_negatives") == bool(gold):
            suitable = "cosent or task.loss=mse" if gold else "in_batch_negatives"
            raise ConfigError(
                f"task.loss={loss} does not fit the data: {examples[0].origin.file} has "
                f"{counted(len(examples[0].texts), 'text')} per row {'with' if gold else 'without'} a score. "
                f"Set task.loss={suitable}"
            )
        if gold and min(gold) == max(gold):
            raise DataError(
                f"{examples[0].origin.file}: all scores are {gold[0]:g}. Training needs different scores. "
                "Check that data.label is the right column; if all pairs are related texts, remove the scores"
            )
        if gold:
            resolved = "cosent" if loss == "auto" else loss
            data = f"pairs with scores from {min(gold):g} to {max(gold):g} (task.loss={resolved})"
        else:
            kind = "triplets" if len(examples[0].texts) == 3 else "pairs"
            data = f"{kind} with in-batch negatives (task.loss=in_batch_negatives)"
        main_score = "main_score is spearman for pairs with scores, otherwise mrr@10"
        fitted: FittedEmbeddings = self.fitted(notes=(f"training on {data}", main_score))
        # A triplet has its own negative, and mse considers single pairs; other losses compare examples.
        min_examples = 1 if loss == "mse" or len(examples[0].texts) == 3 else 2
        if not gold:
            return replace(fitted, min_examples=min_examples)
        return replace(fitted, low=min(gold), width=max(gold) - min(gold), min_examples=min_examples)


TASK = Embeddings
