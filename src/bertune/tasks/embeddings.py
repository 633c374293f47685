"""Owns embeddings: a vector per text, near that of a text that means the same.

Dimensions: S sequences, H numbers of a vector, N examples, R texts of an example.
"""

import math
from collections.abc import Hashable
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn.functional import normalize

from bertune.config import Section
from bertune.data.columns import Columns, cell_text, name_of, number_in
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.metrics import correlation, retrieval
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.retrieval import triplet_accuracy
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.tasks import Task
from bertune.tasks._contrastive import Step, cosent, in_batch_negatives, squared_error
from bertune.tasks._vectors import (
    VectorPrediction,
    WithVectors,
    collection,
    likeness_by_size,
    retrieval_by_size,
    save_as_sentence_transformer,
    vectors_of,
)
from bertune.tasks._wrong_order import wrong_likeness, wrong_neighbours
from bertune.tasks.classification import read_texts
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer

_MOST_IDS = 2**24  # whole numbers that fp32 tells apart


@dataclass(frozen=True, slots=True)
class Example:
    """An anchor, its positive and perhaps a negative; or two texts and how similar they are; or one text."""

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
    sizes: tuple[int, ...] = Field(
        (), description="vector sizes that are to work when cut off there, as 384,128,64; default: whole ones"
    )

    @field_validator("sizes", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(","))
        return (value,) if isinstance(value, int) else value

    @field_validator("sizes")
    @classmethod
    def _some_numbers(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if any(size < 1 for size in value):
            raise ValueError("a vector has at least one number")
        return value


class Embeddings(Task):
    """A vector per text: the mean over its tokens (Reimers & Gurevych 2019), learned from texts that belong
    together, with all others of the step as negatives (Henderson et al. 2017, section 4.4), or from scores of
    similarity (CoSENT, Su 2022; or squared error of the cosine). Cut-off vectors: Kusupati et al. 2022.
    """

    Options = EmbeddingsOptions
    Prediction = VectorPrediction
    primary: ClassVar[str] = "main_score"
    scores: ClassVar[tuple[str, ...]] = (
        "main_score", "spearman", "mrr@10", "recall@1", "recall@10", "pearson", "triplet_accuracy",
    )  # fmt: skip
    text_names: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("text",), ("sentence",),
        ("anchor", "positive", "negative"), ("query", "positive", "negative"), ("anchor", "positive"),
        ("query", "positive"), ("sentence1", "sentence2"), ("text1", "text2"), ("text_a", "text_b"),
        ("question1", "question2"), ("query", "document"), ("query", "passage"), ("query", "title"),
        ("query", "answer"), ("question", "answer"), ("premise", "hypothesis"),
    )  # fmt: skip
    label_names: ClassVar[tuple[str, ...]] = (
        "score", "similarity", "similarity_score", "relatedness_score", "label", "分数",
    )  # fmt: skip
    num_texts: ClassVar[tuple[int, ...]] = (2, 3)
    row_noun: ClassVar[str] = "example"
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"anchor": "how do i reset my password", "positive": "forgot my login"},
        {"anchor": "where is my parcel", "positive": "track an order"},
        {"anchor": "cancel the contract", "positive": "i want to quit"},
        {"anchor": "send me an invoice", "positive": "a bill by mail please"},
    )

    def __init__(self, options: EmbeddingsOptions) -> None:
        super().__init__(options)
        self._low, self._width = 0.0, 1.0  # of the scores, for the loss that needs them from 0 to 1
        self._least_batch_size, self._notes = 1, tuple[str, ...]()

    @property
    def needs_label(self) -> bool:
        return False

    @property
    def least_batch_size(self) -> int:
        return self._least_batch_size

    @property
    def predicts_single_texts(self) -> bool:
        return True

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "step"

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

    def labels(self, examples: SequenceOf[Example]) -> tuple[str, ...]:
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
        self._least_batch_size = 1 if wanted == "mse" or len(examples[0].texts) == 3 else 2
        if gold:
            self._low, self._width = min(gold), max(gold) - min(gold)
            loss = "cosent" if wanted == "auto" else wanted
            learned = f"scores from {min(gold):g} to {max(gold):g} ({loss})"
        else:
            kinds = "triplets" if len(examples[0].texts) == 3 else "pairs"
            learned = f"{kinds}, against all other texts of a step (in_batch_negatives)"
        main = "spearman where there are scores, else mrr@10"
        self._notes = (f"learned from {learned}", f"main_score is {main}")
        return ()

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def names(self, example: Example) -> tuple[str, ...]:
        return ()

    def unit(self, example: Example) -> Hashable:
        return example.texts[0]

    def encode(
        self,
        examples: SequenceOf[Example],
        tokenizer: Tokenizer,
        max_length: int | None,
        labels: tuple[str, ...],
    ) -> list[Sequence]:
        """A sequence for each text; its gold is its place among them, the score, and which text it is."""
        places = [(group, role) for group, e in enumerate(examples) for role in range(len(e.texts))]
        sequences = tokenizer.encode([(examples[g].texts[role],) for g, role in places], max_length)
        known: dict[bytes, int] = {}
        found = []
        for sequence, (group, role) in zip(sequences, places, strict=True):
            number = known.setdefault(sequence.ids.tobytes(), len(known)) % _MOST_IDS
            score = examples[group].gold
            gold = np.array([role, math.nan if score is None else score, number], np.float32)
            found.append(replace(sequence, group=group, gold=gold))
        return found

    def head(self, labels: tuple[str, ...]) -> StandardHead:
        return StandardHead("AutoModel", 0, least_width=max(self.options.sizes, default=1))

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """With cosent one term for a whole step, else one for each example; the mean over `sizes`."""
        assert batch.gold is not None
        step = Step.of(batch.groups_S, *batch.gold.view(-1, 3).unbind(1))
        losses = []
        for size in self.options.sizes or (outputs.shape[1],):
            vectors_SH = normalize(outputs[:, :size].float(), dim=-1)
            if not step.is_scored:
                losses.append(in_batch_negatives(vectors_SH, step, self.options.scale))
            elif self.options.loss == "mse":
                losses.append(squared_error(vectors_SH, step, self._low, self._width))
            else:
                losses.append(cosent(vectors_SH, step, self.options.scale))
        count = 1 if step.is_scored and self.options.loss != "mse" else len(step.firsts_A)
        return torch.stack(losses).mean(), torch.tensor(count, device=outputs.device)

    def decode(
        self, outputs: list[Tensor], sequences: list[Sequence], example: Example, labels: tuple[str, ...]
    ) -> VectorPrediction:
        return WithVectors(normalize(torch.stack(outputs).float(), dim=-1).numpy())

    def check(self, examples: SequenceOf[Example], labels: tuple[str, ...]) -> None:
        scores = {e.gold for e in examples}
        if len(scores) == 1 and None not in scores:
            raise DataError(
                f"{examples[0].origin}: this pair has the score {scores.pop():g}, as have all "
                f"{len(examples):,} to score, so no correlation is defined. Give pairs of different scores"
            )

    def score(
        self,
        predictions: SequenceOf[VectorPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
    ) -> Scores:
        values: dict[str, float | None] = dict.fromkeys(self.scores)
        similar_NR = np.array([p.similarities for p in predictions])
        if examples[0].gold is not None:
            gold_N = np.array([e.gold for e in examples], np.float64)
            found = correlation.correlations(gold_N, similar_NR[:, 0])
            values |= {"spearman": found["spearman"], "pearson": found["pearson"]}
            values["main_score"] = values["spearman"]
            details = correlation.details(gold_N, similar_NR[:, 0], ("gold score", "cosine"), False)
            details["tables"] += likeness_by_size(predictions, gold_N, self.options.sizes)
            return Scores(values, details)
        texts = collection(predictions, [e.texts for e in examples])
        ranks = retrieval.ranks_of(*texts)
        values |= retrieval.of_ranks(ranks)
        values["main_score"] = values["mrr@10"]
        if similar_NR.shape[1] == 2:
            values["triplet_accuracy"] = triplet_accuracy(similar_NR[:, 0], similar_NR[:, 1])
        details = retrieval.details(ranks, len(texts[1]))
        details["tables"] += retrieval_by_size(*texts, self.options.sizes)
        return Scores(values, details)

    def warnings(
        self,
        predictions: SequenceOf[VectorPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
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

    def mistakes(
        self,
        predictions: SequenceOf[VectorPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
    ) -> Mistakes:
        found = wrong_neighbours if examples[0].gold is None else wrong_likeness
        return found(predictions, examples)

    def also_save(self, folder: Path, max_length: int) -> None:
        save_as_sentence_transformer(folder, max_length)


TASK = Embeddings
