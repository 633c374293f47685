"""Multi-label classification: any number of labels per text or pair of texts, or none."""

from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from pydantic import Field, field_validator

from bertune.config import CHANGEABLE
from bertune.data.columns import ColumnNames, Columns, name_of, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, did_you_mean, listed
from bertune.metrics import multilabel as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import Output, Task
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.multilabel.labels import is_yes, labels_in, names_in
from bertune.tasks.parts.class_weights import ImbalanceOptions, resolved_weights, weights_note
from bertune.tasks.parts.label_error_analysis import wrong_labels
from bertune.tasks.parts.long_texts import DocumentOptions, FittedToTexts, mean_output
from bertune.tasks.parts.texts import TEXT_COLUMNS, natural
from bertune.tasks.parts.top_k import (
    MOST_NAMED,
    FloatArray,
    RawOutputs,
    TopKOptions,
    WithRawOutputs,
    all_probabilities,
    named,
    num_named,
)
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


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


class FittedMultiLabel(FittedToTexts):
    """Multi-label classification that knows its labels."""

    def label_names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else example.gold or ("(none)",)

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        index = {label: number for number, label in enumerate(self.labels)}
        sequences = self.encode_texts(examples, tokenizer, max_length)
        gold = [None if e.gold is None else _numbers(e, index) for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForSequenceClassification", len(self.labels), "multi_label_classification")

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.multilabel.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> LabelsPrediction:
        labels = self.labels
        output_C, most = mean_output(outputs), num_named(self.options.top_k, len(labels))
        probabilities_C = _probabilities(output_C)
        chosen = [labels[i] for i in np.flatnonzero(probabilities_C >= self.options.threshold)]
        if example.gold is None or most == len(labels) <= MOST_NAMED:
            return LabelsPrediction(chosen, named(probabilities_C, labels, most))
        return SomeOfMany(chosen, RawOutputs(output_C, labels, _probabilities, most))

    def decode_probabilities(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> FloatArray:
        return _probabilities(mean_output(outputs))

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        without = next((e for e in examples if e.gold is None), None)
        if without is not None:
            raise DataError(
                f"{without.origin}: there is none of the columns {listed(self.labels)}, so there is nothing "
                "to score against. Give a file that has them"
            )
        return self

    def score(self, predictions: SequenceOf[LabelsPrediction], examples: SequenceOf[Example]) -> Scores:
        index = {label: number for number, label in enumerate(self.labels)}
        gold = [
            np.array([index[label] for label in e.gold or () if label in index], np.int64) for e in examples
        ]

        def probabilities(texts: slice, these: slice) -> FloatArray:
            return np.stack([all_probabilities(p, len(self.labels), these) for p in predictions[texts]])

        judged = metrics.Judged(gold, len(self.labels), probabilities)
        return metrics.score_judged(judged, self.labels, self.options.threshold)

    def warnings(
        self,
        predictions: SequenceOf[LabelsPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        if len(predictions) < 2 or any(p.labels for p in predictions) or not any(e.gold for e in examples):
            return []
        return [
            "collapsed: no text is given any label. Usual remedies: more epochs, a higher train.lr, "
            "task.class_weights=auto, or a lower task.threshold"
        ]

    def mistakes(self, predictions: SequenceOf[LabelsPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_labels(predictions, examples)


# A dataclass again, so that its __init__ calls __post_init__, which Task does not have.
@dataclass(frozen=True, eq=False)
class MultiLabel(Task):
    """Any number of labels per text or pair, by a sigmoid for each."""

    Options = MultiLabelOptions
    Prediction = LabelsPrediction
    Fitted = FittedMultiLabel
    primary: ClassVar[str] = "micro_f1"
    scores: ClassVar[tuple[str, ...]] = (
        "micro_f1", "macro_f1", "weighted_f1", "subset_accuracy", "map", "micro_precision", "micro_recall",
        "macro_precision", "macro_recall", "weighted_precision", "weighted_recall", "samples_f1",
        "samples_precision", "samples_recall", "hamming_loss",
    )  # fmt: skip
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=TEXT_COLUMNS,
        label=("labels", "label", "tags", "categories", "emotions", "topics", "标签"),
    )
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "the battery lasts, but the screen is dark", "labels": "battery,screen"},
        {"text": "sound like in a cinema", "labels": "sound"},
        {"text": "it came on monday", "labels": ""},
        {"text": "no sound and a broken screen", "labels": "screen,sound"},
    )

    def __post_init__(self) -> None:
        if self.options.names and self.options.label_file:
            raise ConfigError("task.names and task.label_file both name the labels; give one of them")
        _ = self._names  # read now: a file with a fault is refused before any row, and never read again

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        """The labels in the order of the numbers that cells hold; None where cells hold the labels."""
        label_file, names = self.options.label_file, self.options.names
        return names_in(label_file) if label_file else names

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

    def fit(self, examples: SequenceOf[Example]) -> FittedMultiLabel:
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
        # A label that no text has, or every one, gets weight 1: its ratio would be infinite, or 0.
        automatic = {x: (number - counts[x]) / counts[x] if 0 < counts[x] < number else 1.0 for x in known}
        weights = resolved_weights(self.options.class_weights, automatic)
        # The names take the place of their file, which need not be there when the model is used.
        resolved: dict[str, Any] = {"label_file": None, "names": self._names} if self._names else {}
        made: FittedMultiLabel = self.fitted(
            known, weights_note(weights), class_weights=weights or "none", **resolved
        )
        return made


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


def _probabilities(output_C: Output) -> FloatArray:
    """The sigmoid in float64."""
    with np.errstate(over="ignore"):  # exp of a large number is infinite, and the probability then 0
        found: FloatArray = 1 / (1 + np.exp(-output_C.astype(np.float64)))
    return found


TASK = MultiLabel
