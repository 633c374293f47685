"""Owns multi-label classification: any number of labels per text or pair, none included."""

from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from bertune.config import CHANGEABLE
from bertune.data.columns import Columns, name_of
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, did_you_mean, listed
from bertune.metrics import multilabel as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.nn.losses import weighted_binary_cross_entropy
from bertune.tasks._documents import DocumentOptions, DocumentTask, mean_output
from bertune.tasks._imbalance import ImbalanceOptions, Weights
from bertune.tasks._label_cells import is_yes, labels_in, names_in
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
from bertune.tasks._wrong_labels import wrong_labels
from bertune.tasks.classification import Classification, natural, read_texts
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer


@dataclass(frozen=True, slots=True)
class Example:
    """A text, or a pair, and its labels in the order they were given."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class LabelsPrediction:
    """The labels that reach the threshold, and the probability of every one or of the most probable ones."""

    labels: list[str]
    probabilities: dict[str, float]


class SomeOfMany(WithRawOutputs, LabelsPrediction):
    """The same with the raw outputs, which scores need."""

    def __init__(self, labels: list[str], raw: RawOutputs) -> None:
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "raw", raw)


class MultiLabelOptions(TopKOptions, ImbalanceOptions, DocumentOptions):
    """Settings under [task] when task.name is multilabel."""

    separator: str = Field(",", min_length=1, description="what stands between the labels of a cell")
    columns: tuple[str, ...] | None = Field(
        None,
        min_length=2,
        description="columns of 0 and 1 named like the labels, instead of one label column",
    )
    label_file: str | None = Field(
        None, description="file with the name of a label a line; cells then hold their numbers, from 0"
    )
    names: tuple[str, ...] | None = Field(
        None, min_length=2, description="the same names, in the order of their numbers, without a file"
    )
    threshold: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="probability from which a label is predicted",
        json_schema_extra=CHANGEABLE,
    )

    @field_validator("columns", "names", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value

    @field_validator("columns", "names")
    @classmethod
    def _different(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        double = [name for name, number in Counter(value or ()).items() if number > 1]
        if double:
            raise ValueError(f'"{double[0]}" stands there twice')
        return value


class MultiLabel(DocumentTask):
    """Any number of labels per text or pair, by a sigmoid for each."""

    Options = MultiLabelOptions
    Prediction = LabelsPrediction
    primary: ClassVar[str] = "micro_f1"
    scores: ClassVar[tuple[str, ...]] = (
        "micro_f1", "macro_f1", "weighted_f1", "subset_accuracy", "map", "micro_precision", "micro_recall",
        "macro_precision", "macro_recall", "weighted_precision", "weighted_recall", "samples_f1",
        "samples_precision", "samples_recall", "hamming_loss",
    )  # fmt: skip
    text_names = Classification.text_names
    label_names: ClassVar[tuple[str, ...]] = (
        "labels",
        "label",
        "tags",
        "categories",
        "emotions",
        "topics",
        "标签",
    )
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "the battery lasts, but the screen is dark", "labels": "battery,screen"},
        {"text": "sound like in a cinema", "labels": "sound"},
        {"text": "it came on monday", "labels": ""},
        {"text": "no sound and a broken screen", "labels": "screen,sound"},
    )

    def __init__(self, options: MultiLabelOptions) -> None:
        super().__init__(options)
        self._weights = Weights(options)
        if options.names and options.label_file:
            raise ConfigError("task.names and task.label_file both name the labels; give one of them")
        self._names = names_in(options.label_file) if options.label_file else options.names

    @property
    def needs_label(self) -> bool:
        return self.options.columns is None

    def parse(self, row: Row, columns: Columns) -> Example:
        texts = read_texts(row, columns)
        row_id = name_of(row, columns)
        return Example(row_id, row.origin, texts, self._gold(row, columns))

    def _gold(self, row: Row, columns: Columns) -> tuple[str, ...] | None:
        own = self.options.columns
        if own is not None and columns.has_gold:
            there = [column for column in own if column in row.values]
            if not there:
                return None
            return tuple(column for column in own if is_yes(row, column))
        if columns.label is None or own is not None:
            return None
        cells = labels_in(row, columns.label, self.options.separator)
        return tuple(dict.fromkeys(self._named(cell, row) for cell in cells))

    def _named(self, cell: str, row: Row) -> str:
        if self._names is None:
            return cell
        if cell in self._names and not cell.isdecimal():
            return cell
        if not cell.isdecimal() or len(cell) > 9 or int(cell) >= len(self._names):
            raise DataError(
                f'{row.origin}: "{cell}" is no number of a label; '
                f"{self.options.label_file or 'task.names'} has {len(self._names)} labels, numbered from 0"
            )
        return self._names[int(cell)]

    def labels(self, examples: SequenceOf[Example]) -> tuple[str, ...]:
        counts = Counter(label for e in examples for label in e.gold or ())
        known = self._names or self.options.columns or tuple(sorted(counts, key=natural))
        if not counts:
            own = self.options.columns
            doubt = f"Are these columns of it: {listed(own)}?" if own else "Is data.label the right column?"
            raise DataError(
                f"{examples[0].origin.file}: none of the {len(examples)} rows has a label. {doubt}"
            )
        if len(known) < 2:
            raise DataError(
                f'{examples[0].origin.file}: there is one label only, "{known[0]}", where any of several may '
                "hold. For yes or no about each text there is task.name=classification"
            )
        if max(counts.values()) == 1 and len(counts) > 20:
            raise DataError(
                f'{examples[0].origin.file}: {len(counts)} different labels, such as "{next(iter(counts))}", '
                "each once. Is data.label the right column, and "
                f'task.separator="{self.options.separator}" what stands between labels?'
            )
        number = len(examples)
        # A label that no text has, or every one, is not rarer than what it is told apart from.
        self._weights.settle(
            {x: (number - counts[x]) / counts[x] if 0 < counts[x] < number else 1.0 for x in known}
        )
        return tuple(known)

    def notes(self) -> tuple[str, ...]:
        return self._weights.note()

    def settled(self) -> dict[str, Any]:
        # The file of labels may be elsewhere, or nowhere, when the model is used.
        names: dict[str, Any] = {"label_file": None, "names": list(self._names)} if self._names else {}
        return {"weights": self._weights.by_name or "none", **names}

    def names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else example.gold or ("(none)",)

    def encode(
        self,
        examples: SequenceOf[Example],
        tokenizer: Tokenizer,
        max_length: int | None,
        labels: tuple[str, ...],
    ) -> list[Sequence]:
        index = {label: number for number, label in enumerate(labels)}
        sequences = self.encode_texts(examples, tokenizer, max_length)
        gold = [None if e.gold is None else _numbers(e, index) for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    def head(self, labels: tuple[str, ...]) -> StandardHead:
        return StandardHead("AutoModelForSequenceClassification", len(labels), "multi_label_classification")

    def of_texts(self, outputs_SC: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.gold is not None, "a loss is asked for where there is gold"
        return super().of_texts(outputs_SC, replace(batch, gold=_hot(batch.gold, outputs_SC)))

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        logits, gold = self.of_texts(outputs, batch)
        names = tuple(self._weights.by_name)
        return weighted_binary_cross_entropy(
            logits, gold, self._weights.tensor(names), self.options.focal, self.options.smoothing
        )

    def decode(
        self, outputs: list[Tensor], sequences: list[Sequence], example: Example, labels: tuple[str, ...]
    ) -> LabelsPrediction:
        output_C, most = mean_output(outputs), num_named(self.options.top_k, len(labels))
        probabilities_C = _probabilities(output_C)
        chosen = [labels[i] for i in np.flatnonzero(probabilities_C >= self.options.threshold)]
        if example.gold is None or most == len(labels) <= MOST_NAMED:
            return LabelsPrediction(chosen, named(probabilities_C, labels, most))
        return SomeOfMany(chosen, RawOutputs(output_C, labels, _probabilities, most))

    def check(self, examples: SequenceOf[Example], labels: tuple[str, ...]) -> None:
        without = next((e for e in examples if e.gold is None), None)
        if without is not None:
            raise DataError(
                f"{without.origin}: there is none of the columns {listed(labels)}, so there is nothing to "
                "score against. Give a file that has them"
            )

    def score(
        self,
        predictions: SequenceOf[LabelsPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
    ) -> Scores:
        index = {label: number for number, label in enumerate(labels)}
        gold = [
            np.array([index[label] for label in e.gold or () if label in index], np.int64) for e in examples
        ]

        def probabilities(texts: slice, these: slice) -> FloatArray:
            return np.stack([all_probabilities(p, len(labels), these) for p in predictions[texts]])

        judged = metrics.Judged(gold, len(labels), probabilities)
        return metrics.score_judged(judged, labels, self.options.threshold)

    def warnings(
        self,
        predictions: SequenceOf[LabelsPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
    ) -> list[str]:
        if len(predictions) < 2 or any(p.labels for p in predictions) or not any(e.gold for e in examples):
            return []
        return [
            "collapsed: no text is given any label. Usual remedies: more epochs, a higher train.lr, "
            "task.weights=auto, or a lower task.threshold"
        ]

    def mistakes(
        self,
        predictions: SequenceOf[LabelsPrediction],
        examples: SequenceOf[Example],
        labels: tuple[str, ...],
    ) -> Mistakes:
        return wrong_labels(predictions, examples)


def _numbers(example: Example, index: dict[str, int]) -> Any:
    """The numbers of a text's labels after a -1, which parts the texts of a batch: as many zeros as there are
    labels, for every text of the training data, would not fit in memory where labels are many."""
    numbers = [-1]
    for label in example.gold or ():
        if label not in index:
            near = did_you_mean(label, index)
            hint = f".{near}" if near else f" (there: {listed(list(index))})."
            raise DataError(
                f'{example.origin}: the label "{label}" does not occur in the training texts{hint} '
                "Correct it, remove it, or add training texts with that label"
            )
        numbers.append(index[label])
    return np.array(numbers, np.int64)


def _hot(numbers: Tensor, like_SC: Tensor) -> Tensor:
    """1 for each label of each sequence, else 0, [S, C]."""
    sequence = (numbers < 0).cumsum(0) - 1
    hot_SC = torch.zeros(like_SC.shape, device=numbers.device)
    hot_SC[sequence[numbers >= 0], numbers[numbers >= 0]] = 1
    return hot_SC


def _probabilities(output_C: Tensor) -> FloatArray:
    found: FloatArray = output_C.double().sigmoid().numpy()
    return found


TASK = MultiLabel
