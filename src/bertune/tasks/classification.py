"""Owns classification: one label per text or per pair of texts."""

import math
from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from pydantic import Field
from torch import Tensor

from bertune.data.columns import Columns, cell_text, name_of
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, did_you_mean, listed
from bertune.metrics import classification as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.nn.losses import weighted_cross_entropy
from bertune.tasks._documents import DocumentOptions, DocumentTask, mean_output
from bertune.tasks._imbalance import ImbalanceOptions, Weights
from bertune.tasks._top_k import (
    MOST_NAMED,
    FloatArray,
    RawOutputs,
    TopKOptions,
    WithRawOutputs,
    all_probabilities,
    named,
    num_named,
)
from bertune.tasks._wrong_labels import wrong_label
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Example:
    """A text, or a pair, and its label."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class LabelPrediction:
    """The most probable label, and the probability of every label or of the most probable ones."""

    label: str
    probabilities: dict[str, float]


class OneOfMany(WithRawOutputs, LabelPrediction):
    """The same with the raw outputs, which scores need."""

    def __init__(self, label: str, raw: RawOutputs) -> None:
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "raw", raw)


class ClassificationOptions(TopKOptions, ImbalanceOptions, DocumentOptions):
    """Settings under [task] when task.name is classification."""

    positive: str | None = Field(
        None,
        description="with two labels: the one precision, recall and F1 are about; default: the last by name",
    )


class Classification(DocumentTask):
    """One label per text or pair, by softmax cross-entropy (Devlin et al. 2019, section 4.1)."""

    Options = ClassificationOptions
    Prediction = LabelPrediction
    primary: ClassVar[str] = "mcc"
    scores: ClassVar[tuple[str, ...]] = (
        "accuracy", "macro_f1", "mcc", "f1", "precision", "recall", "roc_auc", "log_loss",
        "macro_precision", "macro_recall", "weighted_precision", "weighted_recall", "weighted_f1",
    )  # fmt: skip
    text_names: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("text",), ("sentence",), ("review",), ("content",), ("comment",), ("message",), ("body",), ("news",),
        ("document",), ("tweet",), ("utterance",), ("description",), ("title",), ("question",), ("query",),
        ("sentence1", "sentence2"), ("text1", "text2"), ("text_a", "text_b"), ("premise", "hypothesis"),
        ("question", "sentence"), ("question1", "question2"), ("question", "answer"), ("query", "title"),
        ("query", "document"), ("query", "passage"), ("#1 String", "#2 String"), ("title", "content"),
        ("文本",), ("内容",), ("评论",), ("句子",),
    )  # fmt: skip
    label_names: ClassVar[tuple[str, ...]] = (
        "label", "labels", "class", "category", "sentiment", "stars", "rating", "target", "intent", "topic",
        "gold_label", "is_duplicate", "quality", "y", "标签", "类别",
    )  # fmt: skip
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "great phone, the battery lasts for days", "label": "good"},
        {"text": "it broke after one week", "label": "bad"},
        {"text": "would buy it again", "label": "good"},
        {"text": "never answered my mail", "label": "bad"},
    )

    def __init__(self, options: ClassificationOptions) -> None:
        super().__init__(options)
        self._weights = Weights(options)

    def parse(self, row: Row, columns: Columns) -> Example:
        texts = read_texts(row, columns)
        gold = None
        if columns.label is not None:
            gold = cell_text(row, columns.label).strip()
            if not gold:
                raise DataError(
                    f'{row.origin}: the label in column "{columns.label}" is missing. Fill it in or remove '
                    "the row"
                )
        row_id = name_of(row, columns)
        return Example(row_id, row.origin, texts, gold)

    def labels(self, examples: SequenceOf[Example]) -> tuple[str, ...]:
        counts = Counter(e.gold for e in examples if e.gold is not None)
        if len(counts) < 2:
            only = next(iter(counts), None)
            raise DataError(
                f'{examples[0].origin.file}: every one of the {len(examples)} rows has the label "{only}"; '
                "a classifier needs at least two. Is data.label the right column? If the file is sorted by "
                "label and train.examples takes its first rows, shuffle it"
            )
        if len(counts) > 0.5 * len(examples) and len(examples) > 20:
            raise DataError(
                f"{examples[0].origin.file}: {len(counts)} different labels in {len(examples)} rows, such as "
                f'"{next(iter(counts))}"; is data.label the right column?'
            )
        labels = tuple(sorted(counts, key=natural))
        self._positive(labels)
        total = counts.total()
        self._weights.settle({label: total / (len(labels) * counts[label]) for label in labels})
        return labels

    def notes(self) -> tuple[str, ...]:
        return self._weights.note()

    def settled(self) -> dict[str, Any]:
        return {"weights": self._weights.by_name or "none"}

    def encode(
        self,
        examples: SequenceOf[Example],
        tokenizer: Tokenizer,
        max_length: int | None,
        labels: tuple[str, ...],
    ) -> list[Sequence]:
        index = {label: number for number, label in enumerate(labels)}
        for example in examples:
            if example.gold is not None and example.gold not in index:
                near = did_you_mean(example.gold, index)
                hint = f".{near}" if near else f" (there: {listed(labels)})."
                raise DataError(
                    f'{example.origin}: the label "{example.gold}" does not occur in the training texts'
                    f"{hint} Correct it, remove the row, or add training texts with that label"
                )
        sequences = self.encode_texts(examples, tokenizer, max_length)
        if not any(e.gold is not None for e in examples):
            return sequences
        gold = [None if e.gold is None else index[e.gold] for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    def head(self, labels: tuple[str, ...]) -> StandardHead:
        return StandardHead("AutoModelForSequenceClassification", len(labels), "single_label_classification")

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, gold = self.of_texts(outputs, batch)
        weights = self._weights.tensor(tuple(self._weights.by_name))
        return weighted_cross_entropy(logits, gold, weights, self.options.focal, self.options.smoothing)

    def stratum(self, example: Example) -> str | None:
        return example.gold

    def decode(
        self, outputs: list[Tensor], sequences: list[Sequence], example: Example, labels: tuple[str, ...]
    ) -> LabelPrediction:
        output_C, most = mean_output(outputs), num_named(self.options.top_k, len(labels))
        if most == len(labels) <= MOST_NAMED:
            probabilities = _softmax(output_C.tolist())
            best = max(range(len(labels)), key=probabilities.__getitem__)
            return LabelPrediction(labels[best], dict(zip(labels, probabilities, strict=True)))
        raw = RawOutputs(output_C, labels, _probabilities, most)
        if example.gold is None:
            probabilities_C = raw.all()
            return LabelPrediction(
                labels[int(probabilities_C.argmax())], named(probabilities_C, labels, most)
            )
        return OneOfMany(labels[int(raw.all().argmax())], raw)

    def score(
        self, predictions: SequenceOf[LabelPrediction], examples: SequenceOf[Example], labels: tuple[str, ...]
    ) -> Scores:
        index = {label: number for number, label in enumerate(labels)}
        gold_N = np.array([index[e.gold] for e in examples if e.gold is not None])
        rows = (all_probabilities(p, len(labels)) for p in predictions)
        return metrics.score(gold_N, rows, labels, self._positive(labels))

    def warnings(
        self, predictions: SequenceOf[LabelPrediction], examples: SequenceOf[Example], labels: tuple[str, ...]
    ) -> list[str]:
        seen = {p.label for p in predictions}
        if len(seen) > 1 or len(predictions) < 2 or seen == {e.gold for e in examples}:
            return []
        return [
            f'collapsed: every text is predicted as "{seen.pop()}". Usual remedies: a lower train.lr (2e-5), '
            "more train.warmup, another train.seed, more epochs, or more balanced labels"
        ]

    def mistakes(
        self, predictions: SequenceOf[LabelPrediction], examples: SequenceOf[Example], labels: tuple[str, ...]
    ) -> Mistakes:
        return wrong_label(predictions, examples)

    def _positive(self, labels: tuple[str, ...]) -> int:
        """Index of the label that binary precision, recall and F1 are about."""
        chosen = self.options.positive
        if chosen is None:
            return len(labels) - 1
        if chosen not in labels:
            raise ConfigError(f'task.positive: there is no label "{chosen}"; there are {listed(labels)}')
        return labels.index(chosen)


def read_texts(row: Row, columns: Columns) -> tuple[str, ...]:
    """The texts of a row. Raises DataError for one that is empty."""
    texts = tuple(cell_text(row, column) for column in columns.text)
    for column, text in zip(columns.text, texts, strict=True):
        if not text.strip():
            raise DataError(
                f'{row.origin}: the text in column "{column}" is empty. Remove the row, or give another '
                "data.text"
            )
    return texts


def _softmax(scores: list[float]) -> list[float]:
    """In plain numbers: a tensor operation costs more than a few labels take."""
    highest = max(scores)
    shares = [math.exp(score - highest) for score in scores]
    total = sum(shares)
    return [share / total for share in shares]


def _probabilities(output_C: Tensor) -> FloatArray:
    """The same whichever of them are asked for; in NumPy where labels are many."""
    if len(output_C) <= MOST_NAMED:
        return np.array(_softmax(output_C.tolist()))
    shares_C: FloatArray = np.exp(output_C.double().numpy() - float(output_C.max()))
    shares_C /= shares_C.sum()
    return shares_C


def natural(label: str) -> tuple[int, float, str]:
    """Numbers in numeric order before words in alphabetical order."""
    try:
        number = float(label)
    except ValueError:
        number = math.nan
    return (0, number, label) if math.isfinite(number) else (1, 0.0, label)


TASK = Classification
