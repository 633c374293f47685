"""Classification: one label per text or pair of texts."""

import math
from collections import Counter
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertune.config import DecideConfig
from bertune.data.columns import ColumnNames, Columns, missing_hint, name_of, read_texts
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError, all_have, listed
from bertune.metrics import classification as metrics
from bertune.metrics.arrays import FloatArray
from bertune.metrics.decisions import DecisionRule
from bertune.metrics.limitations import NEVER_ABOVE_0, UNDEFINED, Limitation, missing_labels
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import OF_A_RULE, Output, Task
from bertune.tasks.explained import Explained, OutputWeights, Target, contrast, label_position
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.parts.class_weights import ImbalanceOptions, resolved_weights, weights_note
from bertune.tasks.parts.label_error_analysis import wrong_label
from bertune.tasks.parts.label_names import label_name, multi_hot_hint, read_label, unknown_label
from bertune.tasks.parts.label_rules import chosen_by_rule, fit_label_rule
from bertune.tasks.parts.long_texts import DocumentOptions, FittedToTexts, mean_output
from bertune.tasks.parts.texts import TEXT_COLUMNS, natural
from bertune.tasks.parts.top_k import (
    MOST_NAMED,
    RawOutputs,
    TopKOptions,
    WithRawOutputs,
    all_probabilities,
    named,
    num_named,
    probabilities_of,
)
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


@dataclass(frozen=True, slots=True)
class Example:
    """A text or a pair of texts, and its label."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: str | None = None


@dataclass(frozen=True, slots=True)
class LabelPrediction:
    """The most probable label, and the probabilities of all labels or of the most probable ones."""

    label: str
    probabilities: dict[str, float]
    decision: str | None = field(default=None, metadata=OF_A_RULE)


class OneOfMany(WithRawOutputs, LabelPrediction):
    """A LabelPrediction with the raw outputs, which scores are computed from."""

    def __init__(self, label: str, raw: RawOutputs, decision: str | None) -> None:
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "decision", decision)
        object.__setattr__(self, "raw", raw)


class ClassificationOptions(TopKOptions, ImbalanceOptions, DocumentOptions):
    """Settings under [task] when task.name is classification."""

    positive_label: str | None = Field(
        None,
        description="with two labels: the positive class of precision, recall and F1; default: the last one "
        "by name",
    )


class FittedClassification(FittedToTexts):
    """Classification fitted to the labels of the training data."""

    def encode(
        self,
        examples: SequenceOf[Example],
        tokenizer: Tokenizer,
        max_length: int | None,
    ) -> list[Sequence]:
        if all(e.gold is None for e in examples):
            return self.encode_texts(examples, tokenizer, max_length)
        index = {label: number for number, label in enumerate(self.labels)}
        for example in examples:
            if example.gold is not None and example.gold not in index:
                raise unknown_label(example.origin, example.gold, self.labels)
        sequences = self.encode_texts(examples, tokenizer, max_length)
        gold = [None if e.gold is None else index[e.gold] for e in examples]
        return [replace(s, gold=gold[s.group]) for s in sequences]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForSequenceClassification", len(self.labels), "single_label_classification")

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.classification.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> LabelPrediction:
        labels = self.labels
        output_C, most = mean_output(outputs), num_named(self.options.top_k, len(labels))
        if most == len(labels) <= MOST_NAMED:
            probabilities = _softmax(self.calibrated(output_C).tolist())
            best = self._chosen(probabilities)
            by_label = dict(zip(labels, probabilities, strict=True))
            return LabelPrediction(labels[best], by_label, self.decided(probabilities[best]))
        raw = RawOutputs(output_C, labels, self._probabilities, most)
        probabilities_C = raw.all()
        best = self._chosen(probabilities_C)
        decision = self.decided(float(probabilities_C[best]))
        if example.gold is None:
            return LabelPrediction(labels[best], named(probabilities_C, labels, most), decision)
        return OneOfMany(labels[best], raw, decision)

    def decode_probabilities(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> FloatArray:
        return self._probabilities(mean_output(outputs))

    def _probabilities(self, output_C: Output) -> FloatArray:
        return _probabilities(self.calibrated(output_C))

    @property
    def calibration_kind(self) -> Literal["softmax"]:
        return "softmax"

    def calibration_terms(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> tuple[FloatArray, NDArray[np.int64]] | None:
        if example.gold is None:
            return None
        return mean_output(outputs)[None].astype(np.float64), np.array([self.labels.index(example.gold)])

    def judged(self, prediction: LabelPrediction, example: Example) -> list[tuple[str, float, bool]]:
        confidence = probabilities_of(prediction, {prediction.label})[prediction.label]
        return [("", confidence, prediction.label != example.gold)]

    slice_score: ClassVar[str] = "accuracy"

    def label_evidence(
        self, prediction: LabelPrediction, example: Example
    ) -> tuple[NDArray[np.int64], FloatArray]:
        gold = np.array([self.labels.index(str(example.gold))])
        return gold, all_probabilities(prediction, len(self.labels))[None]

    def suggested_label(
        self,
        prediction: LabelPrediction,
        example: Example,
        wrong: SequenceOf[int],
        predicted: SequenceOf[int],
    ) -> tuple[str | None, str | None]:
        return example.gold, self.labels[predicted[0]] if wrong else example.gold

    def fit_cutoffs(
        self, target: DecideConfig, probabilities_NC: FloatArray, examples: SequenceOf[Example]
    ) -> DecisionRule:
        return fit_label_rule(
            target, probabilities_NC, [e.gold for e in examples], self.labels, self.positive()
        )

    def _chosen(self, probabilities: SequenceOf[float] | FloatArray) -> int:
        """The index of the predicted label: the most probable one, unless the decision rule differs."""
        if self.rule is not None and (self.rule.costs or self.rule.cutoffs):
            return chosen_by_rule(self.rule, probabilities, self.labels)
        if isinstance(probabilities, np.ndarray):
            return int(probabilities.argmax())
        return max(range(len(probabilities)), key=probabilities.__getitem__)

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained:
        """The logit of a label minus the mean of the others, averaged over windows. Default: the best."""
        labels = self.labels
        chosen = int(mean_output(outputs).argmax()) if target is None else label_position(target, labels)
        weights_C = contrast(len(labels), chosen) / len(outputs)
        weights = (OutputWeights.of_row(n, range(len(labels)), weights_C) for n in range(len(outputs)))
        return Explained(labels[chosen], tuple(weights))

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        # Earlier versions kept labels such as True and False as they were spelled in the training file.
        names = tuple(label_name(label) for label in self.labels)
        return self if names == self.labels else replace(self, labels=names)

    def score(self, predictions: SequenceOf[LabelPrediction], examples: SequenceOf[Example]) -> Scores:
        index = {label: number for number, label in enumerate(self.labels)}
        gold_N = np.array([index[e.gold] for e in examples if e.gold is not None])
        rows = (all_probabilities(p, len(self.labels)) for p in predictions)
        predicted_N = np.array([index[p.label] for p in predictions])
        return metrics.score(gold_N, rows, self.labels, self.positive(), predicted_N)

    def simple_targets(self, examples: SequenceOf[Example]) -> NDArray[Any]:
        index = {label: number for number, label in enumerate(self.labels)}
        return np.array([index[e.gold] for e in examples if e.gold is not None], np.int64)

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        counts = Counter(e.gold for e in examples)
        if len(counts) > 1:
            return missing_labels({str(label) for label in counts}, self.labels, {"roc_auc": UNDEFINED})
        (only_label,) = counts
        fixed = {"mcc": "0", "roc_auc": UNDEFINED}
        if len(self.labels) == 2 and only_label != self.labels[self.positive()]:
            fixed |= dict.fromkeys(("precision", "recall", "f1"), NEVER_ABOVE_0)
        missing = listed([label for label in self.labels if label != only_label])
        fact = f'{all_have(len(examples), "text")} the label "{only_label}" (missing: {missing})'
        return [Limitation(fact, fixed)]

    def warnings(
        self,
        predictions: SequenceOf[LabelPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        seen = {p.label for p in predictions}
        if len(seen) > 1 or len(predictions) < 2 or seen == {e.gold for e in examples}:
            return []
        return [
            f'collapsed: all texts are predicted as "{seen.pop()}". Usual remedies: a lower train.lr (2e-5), '
            "more train.warmup, another train.seed, more epochs, or more balanced labels"
        ]

    def mistakes(self, predictions: SequenceOf[LabelPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_label(predictions, examples)

    def positive(self) -> int:
        """Index of the positive class of binary precision, recall and F1. Raises ConfigError."""
        chosen = self.options.positive_label
        if chosen is None:
            return len(self.labels) - 1
        names = [label_name(label) for label in self.labels]
        if label_name(chosen) not in names:
            raise ConfigError(
                f'task.positive_label must be a label of the training data, got "{chosen}" (labels: '
                f"{listed(self.labels)})"
            )
        return names.index(label_name(chosen))


class Classification(Task):
    """One label per text or pair, with softmax cross-entropy (Devlin et al. 2019, section 4.1)."""

    Options = ClassificationOptions
    Prediction = LabelPrediction
    Fitted = FittedClassification
    primary: ClassVar[str] = "mcc"
    scores: ClassVar[tuple[str, ...]] = (
        "accuracy", "macro_f1", "mcc", "f1", "precision", "recall", "roc_auc", "log_loss",
        "macro_precision", "macro_recall", "weighted_precision", "weighted_recall", "weighted_f1",
    )  # fmt: skip
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=TEXT_COLUMNS,
        label=(
            "label", "labels", "class", "category", "sentiment", "stars", "rating", "target", "intent",
            "topic", "gold_label", "is_duplicate", "quality", "y", "标签", "类别",
        ),
    )  # fmt: skip
    is_calibrated: ClassVar[bool] = True
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"text": "great phone, the battery lasts for days", "label": "good"},
        {"text": "it broke after one week", "label": "bad"},
        {"text": "would buy it again", "label": "good"},
        {"text": "they never answered my email", "label": "bad"},
    )

    def parse(self, row: Row, columns: Columns) -> Example:
        texts = read_texts(row, columns)
        gold = None
        if columns.label is not None:
            gold = read_label(row, columns.label)
            if not gold:
                raise DataError(
                    f'{row.origin}: the label in column "{columns.label}" is missing.'
                    f"{missing_hint(row, columns.label)} Fill it in or remove the row"
                )
        row_id = name_of(row, columns)
        return Example(row_id, row.origin, texts, gold)

    def stratify_key(self, example: Example) -> str | None:
        return example.gold

    def fit(self, examples: SequenceOf[Example]) -> FittedClassification:
        counts = Counter(e.gold for e in examples if e.gold is not None)
        if len(counts) < 2:
            only_label = next(iter(counts), None)
            raise DataError(
                f'{examples[0].origin.file}: {all_have(len(examples), "row")} the label "{only_label}". A '
                "classifier needs at least two labels. Check that data.label is the right column; if the "
                "file is sorted by label and train.max_examples takes its first rows, shuffle it"
            )
        # A column of texts or IDs has about as many values as rows, and so may the labels of a small file.
        if len(counts) > 0.5 * len(examples) and len(examples) > 20:
            hint = multi_hot_hint(counts)
            raise DataError(
                f"{examples[0].origin.file}: {len(counts)} different labels in {len(examples)} rows, such as "
                f'"{next(iter(counts))}". Expected far fewer labels than rows. Check that data.label is the '
                f"right column{hint and '; ' + hint}"
            )
        labels = tuple(sorted(counts, key=natural))
        total = counts.total()
        automatic = {label: total / (len(labels) * counts[label]) for label in labels}
        class_weights = self.options.class_weights
        if isinstance(class_weights, dict):
            class_weights = {label_name(label): weight for label, weight in class_weights.items()}
        weights = resolved_weights(class_weights, automatic)
        fitted: FittedClassification = self.fitted(
            labels, weights_note(weights), class_weights=weights or "none"
        )
        fitted.positive()  # raises ConfigError for an unknown label
        return fitted


def _softmax(scores: list[float]) -> list[float]:
    """Softmax in plain Python, which is faster than an array operation for a few labels."""
    highest = max(scores)
    exponentials = [math.exp(score - highest) for score in scores]
    total = sum(exponentials)
    return [value / total for value in exponentials]


def _probabilities(output_C: Output) -> FloatArray:
    """The softmax of all outputs, in NumPy if there are many labels."""
    if len(output_C) <= MOST_NAMED:
        return np.array(_softmax(output_C.tolist()))
    probabilities_C: FloatArray = np.exp(output_C.astype(np.float64) - float(output_C.max()))
    probabilities_C /= probabilities_C.sum()
    return probabilities_C


TASK = Classification
