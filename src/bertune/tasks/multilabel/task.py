"""Multi-label classification: zero or more labels per text or pair of texts."""

from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from bertune.config import CHANGEABLE, comma_separated
from bertune.data.columns import ColumnNames, Columns, name_of, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, all_have, listed, none_has
from bertune.metrics import multilabel as metrics
from bertune.metrics.arrays import FloatArray
from bertune.metrics.limitations import NEVER_ABOVE_0, UNDEFINED, Limitation, missing_labels
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import OF_A_RULE, Output, Task
from bertune.tasks.explained import Explained, OutputWeights, Target, label_position
from bertune.tasks.form import Form
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.multilabel.decisions import DecidesLabels
from bertune.tasks.multilabel.labels import all_named, is_yes, label_indices, labels_in, names_in
from bertune.tasks.multilabel.separators import AUTO, COMMA, separator_hint, shown, with_labels_split
from bertune.tasks.multilabel.vectors import Vector, naming_hint, vector_in_digits, with_vectors_read
from bertune.tasks.parts.class_weights import ImbalanceOptions, resolved_weights, weights_note
from bertune.tasks.parts.label_error_analysis import wrong_labels
from bertune.tasks.parts.long_texts import DocumentOptions, mean_output
from bertune.tasks.parts.texts import TEXT_COLUMNS, natural
from bertune.tasks.parts.top_k import (
    MOST_NAMED,
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
    """A text or a pair of texts, and its labels in the order of the file."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: tuple[str, ...] | None = None
    vector: Vector | None = None  # the label cell as a multi-hot vector, tentative until `settled` is called
    separator: str = ""  # at which `settled` split the label cell


@dataclass(frozen=True, slots=True)
class LabelsPrediction:
    """The labels whose probability reaches the threshold, and the probabilities of all or the top labels."""

    labels: list[str]
    probabilities: dict[str, float]
    decision: str | None = field(default=None, metadata=OF_A_RULE)
    review_labels: list[str] | None = field(default=None, metadata=OF_A_RULE)  # labels that need review


class SomeOfMany(WithRawOutputs, LabelsPrediction):
    """A prediction that keeps the raw outputs, which the scores need."""

    def __init__(
        self, labels: list[str], raw: RawOutputs, decision: str | None, review_labels: list[str] | None
    ) -> None:
        object.__setattr__(self, "labels", labels)
        object.__setattr__(self, "raw", raw)
        object.__setattr__(self, "decision", decision)
        object.__setattr__(self, "review_labels", review_labels)


class MultiLabelOptions(TopKOptions, ImbalanceOptions, DocumentOptions):
    """Settings under [task] when task.name is multilabel."""

    separator: str = Field(
        AUTO,
        min_length=1,
        description="separator between the labels in a cell; auto: the comma, or if no cell has one, another "
        "sign such as | if the parts between it recur",
    )
    columns: tuple[str, ...] | None = Field(
        None,
        min_length=2,
        description="one column of 0 and 1 per label, named after it, instead of a single label column",
    )
    label_format: Literal["auto", "names", "multi_hot"] = Field(
        "auto",
        description="format of a label cell: label names or indices, or a vector of 0 and 1 with one entry "
        "per label; auto: vectors if every cell holds only 0 and 1 and at least one cell repeats a value or "
        "has booleans or floats (1.0), if all cells are 0,1 or 1,0, or if all have the same number of digits "
        "without separators, such as 0010",
        json_schema_extra=CHANGEABLE,
    )
    label_file: str | None = Field(
        None,
        description="file with one label name per line; cells then hold label indices, from 0, or vectors",
    )
    names: tuple[str, ...] | None = Field(
        None, min_length=2, description="the label names in index order, instead of task.label_file"
    )
    threshold: float = Field(
        0.5,
        gt=0,
        lt=1,
        description="minimum probability at which a label is predicted",
        json_schema_extra=CHANGEABLE,
    )

    @field_validator("columns", "names", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return comma_separated(value)

    @field_validator("columns", "names")
    @classmethod
    def _different(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        duplicates = [name for name, count in Counter(value or ()).items() if count > 1]
        if duplicates:
            raise ValueError(f'"{duplicates[0]}" is listed more than once')
        return value


class FittedMultiLabel(DecidesLabels):
    """Multi-label classification with a fitted set of labels."""

    def label_names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else example.gold or ("(none)",)

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        index = {label: number for number, label in enumerate(self.labels)}
        sequences = self.encode_texts(examples, tokenizer, max_length)
        gold = [None if e.gold is None else label_indices(e, index) for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec(
            "AutoModelForSequenceClassification",
            len(self.labels),
            "multi_label_classification",
            activation="Sigmoid",
        )

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.multilabel.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> LabelsPrediction:
        labels = self.labels
        output_C, most = mean_output(outputs), num_named(self.options.top_k, len(labels))
        probabilities_C = self.probabilities_of_labels(output_C)
        chosen = [labels[i] for i in np.flatnonzero(probabilities_C >= self.label_cutoffs)]
        decision, review = self.reviewed(probabilities_C)
        if example.gold is None or most == len(labels) <= MOST_NAMED:
            return LabelsPrediction(chosen, named(probabilities_C, labels, most), decision, review)
        return SomeOfMany(
            chosen, RawOutputs(output_C, labels, self.probabilities_of_labels, most), decision, review
        )

    def decode_probabilities(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> FloatArray:
        return self.probabilities_of_labels(mean_output(outputs))

    def form(self, columns: tuple[str, ...]) -> Form:
        threshold = None if self.has_cutoffs else self.options.threshold
        return replace(super().form(columns), threshold=threshold)

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained:
        """The logit of a label, averaged over windows; default: the most probable label."""
        labels, share = self.labels, 1 / len(outputs)
        chosen = int(mean_output(outputs).argmax()) if target is None else label_position(target, labels)
        weights = (OutputWeights.of_row(n, [chosen], [share]) for n in range(len(outputs)))
        return Explained(labels[chosen], tuple(weights))

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        unlabelled = next((e for e in examples if e.gold is None), None)
        if unlabelled is not None:
            raise DataError(
                f"{unlabelled.origin}: none of the label columns {listed(self.labels)} exists, so the row "
                "cannot be scored. Pass a file that has these columns"
            )
        return self

    def score(self, predictions: SequenceOf[LabelsPrediction], examples: SequenceOf[Example]) -> Scores:
        index = {label: number for number, label in enumerate(self.labels)}
        gold = [
            np.array([index[label] for label in e.gold or () if label in index], np.int64) for e in examples
        ]

        def probabilities(texts: slice, these: slice) -> FloatArray:
            return np.stack([all_probabilities(p, len(self.labels), these) for p in predictions[texts]])

        # As predicted, because the models of a cross-validation may have different cutoffs.
        predicted = [np.array([index[label] for label in p.labels], np.int64) for p in predictions]
        judged = metrics.Judged(gold, len(self.labels), probabilities, predicted)
        cutoff = self.label_cutoffs if self.has_cutoffs else self.options.threshold
        return metrics.score(judged, self.labels, cutoff)

    def simple_targets(self, examples: SequenceOf[Example]) -> NDArray[Any]:
        index = {label: number for number, label in enumerate(self.labels)}
        targets_NC = np.zeros((len(examples), len(self.labels)), bool)
        for target_C, example in zip(targets_NC, examples, strict=True):
            target_C[[index[label] for label in example.gold or ()]] = True
        return targets_NC

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        present = {label for e in examples for label in e.gold or ()}
        if not present:
            by_label = [n for n in self.task.scores if n.startswith(("micro_", "macro_", "weighted_"))]
            by_text = dict.fromkeys((n for n in self.task.scores if n.startswith("samples_")), "0")
            settled = dict.fromkeys(by_label, NEVER_ABOVE_0) | by_text | {"map": UNDEFINED}
            return [Limitation(f"{none_has(len(examples), 'text')} a label", settled)]
        limitations = missing_labels(present, self.labels, {})
        if all(present == set(e.gold or ()) for e in examples):
            fact = f"{all_have(len(examples), 'text')} the same labels: {listed(sorted(present))}"
            limitations.append(Limitation(fact, {"map": "1"}))
        return limitations

    def warnings(
        self,
        predictions: SequenceOf[LabelsPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        if len(predictions) < 2 or any(p.labels for p in predictions) or not any(e.gold for e in examples):
            return []
        return [
            "collapsed: the model predicts no labels for any text. Usual remedies: more epochs, a higher "
            "train.lr, task.class_weights=auto, or a lower task.threshold"
        ]

    def mistakes(self, predictions: SequenceOf[LabelsPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_labels(predictions, examples)


# Decorated as a dataclass again so that the generated __init__ calls __post_init__, which Task does not have.
@dataclass(frozen=True, eq=False)
class MultiLabel(Task):
    """Any number of labels per text or pair, with one sigmoid per label."""

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
    is_calibrated: ClassVar[bool] = True
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "the battery lasts, but the screen is dim", "labels": "battery,screen"},
        {"text": "the sound is as good as in a cinema", "labels": "sound"},
        {"text": "it came on monday", "labels": ""},
        {"text": "no sound and a broken screen", "labels": "screen,sound"},
    )

    def __post_init__(self) -> None:
        if self.options.names and self.options.label_file:
            raise ConfigError("task.names and task.label_file both define the label names. Set only one")
        _ = self._names  # cached now, so that an invalid file is reported before any row is read

    @cached_property
    def _names(self) -> tuple[str, ...] | None:
        """The labels in index order; None if the cells hold the labels themselves."""
        label_file, names = self.options.label_file, self.options.names
        return names_in(label_file) if label_file else names

    @property
    def _separator(self) -> str:
        return COMMA if self.options.separator == AUTO else self.options.separator

    @property
    def needs_label(self) -> bool:
        return self.options.columns is None

    def parse(self, row: Row, columns: Columns) -> Example:
        texts = read_texts(row, columns)
        row_id = name_of(row, columns)
        gold, vector = self._gold(row, columns)
        return Example(row_id, row.origin, texts, gold, vector)

    def _gold(self, row: Row, columns: Columns) -> tuple[tuple[str, ...] | None, Vector | None]:
        """The label names of a row, and its label cell read as a vector if possible."""
        label_columns = self.options.columns
        if label_columns is not None and columns.has_gold:
            if not any(column in row.values for column in label_columns):
                return None, None
            return tuple(column for column in label_columns if is_yes(row, column)), None
        if columns.label is None or label_columns is not None:
            return None, None
        cell = labels_in(row, columns.label, self._separator)
        if self.options.label_format == "multi_hot" and cell.vector is not None:
            return (), cell.vector  # the entries are not label indices
        if cell.vector is not None and cell.vector.digits:
            return cell.names, cell.vector  # whether they are indices depends on the other rows
        return self._all_named(cell.names, row.origin), cell.vector

    def _all_named(self, cells: tuple[str, ...], origin: Origin) -> tuple[str, ...]:
        return all_named(cells, origin, self._names, self.options.label_file or "task.names")

    def stratify_labels(self, example: Example) -> tuple[str, ...]:
        return example.gold or ()

    def settled(self, examples: SequenceOf[Example]) -> list[Example]:
        """The examples with their multi-hot vectors decoded into labels, or their labels separated.

        Raises DataError.
        """
        read = with_vectors_read(examples, self.options.label_format, self._names, self._all_named)
        is_unknown = self.options.separator == AUTO and self.options.columns is None
        return with_labels_split(read) if is_unknown else read

    def informed(self, examples: SequenceOf[Example]) -> "MultiLabel":
        separator = next((e.separator for e in examples if e.separator), None)
        if separator is not None:
            return type(self)(self.options.model_copy(update={"separator": separator}))
        vector = next((e.vector for e in examples if e.vector is not None), None)
        if vector is None:
            # Labels such as 10 are indices or names in the other files, too.
            are_names = self.options.label_format == "auto" and any(
                vector_in_digits(label) for e in examples for label in e.gold or ()
            )
            if not are_names:
                return self
            return type(self)(self.options.model_copy(update={"label_format": "names"}))
        names = self._names or tuple(str(number) for number in range(vector.size))
        known = {"label_format": "multi_hot", "label_file": None, "names": names}
        return type(self)(self.options.model_copy(update=known))

    def fit(self, examples: SequenceOf[Example]) -> FittedMultiLabel:
        counts = Counter(label for e in examples for label in e.gold or ())
        known = self._names or self.options.columns or tuple(sorted(counts, key=natural))
        if not counts:
            columns = self.options.columns
            hint = (
                f"Check that task.columns names the label columns of the file: {listed(columns)}"
                if columns
                else "Check that data.label is the right column"
            )
            raise DataError(f"{examples[0].origin.file}: {none_has(len(examples), 'row')} a label. {hint}")
        if len(known) < 2:
            raise DataError(
                f'{examples[0].origin.file}: only one label, "{known[0]}". Multi-label classification needs '
                "at least two. For a yes/no decision about each text, set task.name=classification"
            )
        if max(counts.values()) == 1 and len(counts) > 20:
            raise DataError(
                f"{examples[0].origin.file}: there are {len(counts)} different labels, such as "
                f'"{next(iter(counts))}", and each occurs only once. Check that data.label is the right '
                f'column and that task.separator="{self._separator}" separates the labels in a cell'
            )
        total = len(examples)
        # Labels of no text or of every text get weight 1: the ratio would be infinite or 0.
        automatic = {x: (total - counts[x]) / counts[x] if 0 < counts[x] < total else 1.0 for x in known}
        weights = resolved_weights(self.options.class_weights, automatic)
        # The names replace label_file, which may not exist where the model is used.
        resolved: dict[str, Any] = {"label_file": None, "names": self._names} if self._names else {}
        notes = weights_note(weights)
        if self.options.label_format == "multi_hot":
            notes += (
                f"labels: vectors of 0 and 1 with {len(known)} entries: {listed(known)}{naming_hint(known)}",
            )
        elif self.options.columns is None and all(len(e.gold or ()) < 2 for e in examples):
            notes += (hint,) if (hint := separator_hint(counts)) else ()
        elif self._separator != COMMA:
            notes += (f"labels: the label cells are split at {shown(self._separator)}",)
        resolved["separator"] = self._separator
        made: FittedMultiLabel = self.fitted(known, notes, class_weights=weights or "none", **resolved)
        return made


TASK = MultiLabel
