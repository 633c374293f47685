"""The optional members of tasks and fitted tasks, with their defaults."""

from collections.abc import Hashable, Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from bertune.data.columns import Columns, cell_text
from bertune.data.rows import Row
from bertune.data.tables import Table
from bertune.metrics.limitations import Limitation
from bertune.metrics.mistakes import Mistakes
from bertune.tasks.form import Form, FormField, Kind
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


class OptionalTaskMembers:
    """Optional members of a task, which concern rows and examples before training."""

    noun: ClassVar[str] = "text"  # what reports call a row, such as "question"
    extra_scores: ClassVar[tuple[str, ...]] = ()  # scores that training adds to those of `score`
    extra_suffixes: ClassVar[tuple[str, ...]] = ()  # suffixes of the files from `extra_prediction_files`

    @property
    def needs_label(self) -> bool:
        """Whether training and scoring require a label column. Default: True."""
        return True

    @property
    def predicts_single_texts(self) -> bool:
        """Whether a model trained on several text columns can also predict single texts. Default: False."""
        return False

    def grouped(self, table: Table, text: SequenceOf[str] | None, label: str | None, required: bool) -> Table:
        """The table with the rows of each example merged into one row, which keeps them in `Row.parts`.

        `text` and `label` are the columns set by the user or taken from the training file. With `required`,
        columns named in the task's options must exist; a file to predict may have another layout than the
        training file. Default: the table unchanged. Raises DataError.
        """
        return table

    def is_blank(self, row: Row, columns: Columns) -> bool:
        """Whether a row has no text to predict from. Raises DataError for cells that cannot be texts."""
        return not all(cell_text(row, column).strip() for column in columns.text)

    def refuse_misread(self, examples: SequenceOf[Any]) -> None:
        """Raise DataError if the first examples of a file to predict show that it was misread.

        Default: nothing. Files with gold labels are checked by `fit` and `for_scoring`.
        """

    def settled(self, examples: SequenceOf[Any]) -> list[Any]:
        """The examples of a table, after resolving what can only be decided from all of its rows.

        Default: the examples unchanged. Raises DataError.
        """
        return list(examples)

    def informed(self, examples: SequenceOf[Any]) -> Self:
        """The task, updated with what the training examples show about how to read other files.

        `examples` are those returned by `settled`. Default: the task unchanged.
        """
        return self

    @property
    def is_calibrated(self) -> bool:
        """Whether temperature scaling applies to the predictions of this task. Default: False.

        If so, its fitted task defines `calibration_kind` and `calibration_terms`.
        """
        return False

    def stratify_key(self, example: Any) -> Hashable:
        """The key by which splits of the training rows are stratified. Default: None, no stratification."""
        return None

    def stratify_labels(self, example: Any) -> tuple[str, ...] | None:
        """The labels by which splits are stratified, for tasks whose examples can have several.

        Default: None, `stratify_key` is used.
        """
        return None

    def group_key(self, example: Any) -> Hashable:
        """Rows with the same key stay in the same split or fold. Default: None, rows are independent."""
        return None


class OptionalFittedMembers:
    """Optional members of a fitted task, which concern training, prediction and reports."""

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        """The unit that must be in one micro-batch: a sequence, a group (an example), or an optimizer step.

        With "step" the loss sees the outputs of the whole step, however the step is split into
        micro-batches, and no loss is computed when predicting. Default: "sequence".
        """
        return "sequence"

    @property
    def has_validation_loss(self) -> bool:
        """Whether the loss can be computed in prediction, on validation data. Default: unless "step"."""
        return self.keep_together != "step"

    @property
    def least_batch_size(self) -> int:
        """The minimum number of examples per step for which the loss is meaningful. Default: 1."""
        return 1

    @property
    def windows_are_examples(self) -> bool:
        """Whether each sequence of a training example counts as a training example. Default: False.

        If so, train.batch_size counts sequences, and every sequence is a separate group.
        """
        return False

    @property
    def is_resampled(self) -> bool:
        """Whether `resample` changes sequences, so that their outputs cannot be computed before the step."""
        return type(self).resample is not OptionalFittedMembers.resample

    def resample(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        """The sequences to train on in this optimizer step. Default: the sequences unchanged."""
        return sequences

    def bound(self, tokenizer: Tokenizer) -> Self:
        """The fitted task bound to a tokenizer, before anything is encoded. Default: unchanged."""
        return self

    def group_training_examples(self, examples: SequenceOf[Any]) -> SequenceOf[SequenceOf[int]] | None:
        """Indices of training examples, grouped so that each group counts as one example in training.

        If given, train.batch_size counts groups, and examples that are in no group are not used for
        training. Default: None, each example is a separate group.
        """
        return None

    def auto_length(self, limit: int) -> int:
        """The maximum length in tokens if model.max_length is auto; `limit` is the maximum of the model."""
        return limit

    def check_length(self, max_length: int) -> None:
        """Raise ConfigError if an option set by the user does not fit the maximum length of training.

        Default: no check.
        """
        return None

    def label_names(self, example: Any) -> tuple[str, ...]:
        """The labels of an example that the data audit counts. Default: its gold label, if any."""
        return () if example.gold is None else (str(example.gold),)

    # What a label of `label_names` describes: the whole text, a part of it, or the position of a choice. The
    # audit only looks for cues that predict the labels of texts.
    label_scope: ClassVar[Literal["text", "part", "position"]] = "text"

    def reduce_outputs(self, outputs: "Tensor", batch: "Batch") -> "Tensor":
        """The part of a batch's outputs that `decode` needs, one row per sequence or token.

        Default: the outputs unchanged.
        """
        return outputs

    def reduce_array(self, output: NDArray[np.float32], sequence: Sequence) -> NDArray[np.float32]:
        """The NumPy counterpart of `reduce_outputs`, for backends other than torch.

        `output` belongs to a single sequence: [C], or [length, C] with a head that works per token. Tasks
        that override `reduce_outputs` must override this too. Default: the output unchanged.
        """
        return output

    # Methods that a task defines if it predicts more than `decode` returns, with the arguments of `decode`.

    decode_probabilities: ClassVar[Any] = None  # the probabilities of all labels, [C] in fp64
    # The vector of an example with one text, [H] in fp32. Raises DataError for an example with several texts.
    decode_vector: ClassVar[Any] = None
    # What a temperature is fitted to, with the arguments of `decode`: logits [K, C] that are not divided by a
    # temperature, and their gold, as metrics.calibration.Terms takes them; None without gold.
    calibration_terms: ClassVar[Any] = None
    # The answers in a prediction, with the arguments (prediction, example): an iterable of (question,
    # confidence from 0 to 1, whether it is wrong). Thresholds are chosen per question; most tasks have one,
    # named "". Tasks that define it pass confidences to `DecisionRule.decision` in `decode`.
    judged: ClassVar[Any] = None
    # The number of questions that a guarantee covers together, such as "yes" and "no" to one label.
    questions_together: ClassVar[int] = 1

    @property
    def pipeline_tag(self) -> str:
        """The pipeline of the Hugging Face Hub that fits the model. Default: by the class of the head."""
        tag: str = self.head.pipeline_tag  # type: ignore[attr-defined]
        return tag

    # The score that slices of the rows are compared by; None: the primary score. It should be an average over
    # rows, because rows with a single label have no MCC.
    slice_score: ClassVar[str | None] = None
    # Whether scores are computed per group of `group_key`, such as a query: slices then consist of groups.
    is_scored_by_group: ClassVar[bool] = False
    # What likely label errors are found from, with the arguments (prediction, example). Of tasks whose
    # `label_error_kind` is "one": the label of the example as a position in `labels` [1], and the
    # probabilities of all labels [1, C]. Of those with "part": the same for K parts, such as the words of a
    # text, [K] and [K, C]. Of those with "each": whether the example has each label [C] of bool, and the
    # probability of each [C].
    label_evidence: ClassVar[Any] = None
    label_error_kind: ClassVar[Literal["one", "part", "each"]] = "one"
    # The given and the suggested label of an example as a cell of the label column holds them, with the
    # arguments (prediction, example, wrong, predicted): the positions of likely errors among the parts (0 for
    # "one"), whose most probable labels are `predicted`, or among the labels (each).
    suggested_label: ClassVar[Any] = None
    # The parts in which these two differ, as two texts for the report, with the arguments (example, given,
    # suggested), for tasks whose labels are too long to compare by eye; None: both are shown as they are.
    label_change: ClassVar[Any] = None
    # A DecisionRule with the labels to predict for a target, with the arguments (target, probabilities [N,
    # C], examples); `target` is a DecideConfig. Raises ConfigError for a target that does not apply.
    fit_cutoffs: ClassVar[Any] = None
    # For each mask of a text the most probable tokens, each a dict of score, token (its ID), token_str and
    # sequence (the text with it), as in the fill-mask pipeline of transformers. Raises DataError for a text
    # without a mask.
    fillings: ClassVar[Any] = None
    # The number that an explanation explains, as `Explained`, such as the logit of a label; None if there is
    # none, as in a text without entities. Also takes `target`: the label, or the position of the item, to
    # explain; None: that of the prediction. Raises DataError for a target that does not exist.
    explained: ClassVar[Any] = None

    @property
    def calibration_kind(self) -> Literal["softmax", "sigmoid", "top"] | None:
        """The function that makes probabilities of the outputs; None: they are not calibrated. See
        `metrics.calibration`."""
        return None

    calibration_unit: ClassVar[str] = "texts"  # what the rows of `calibration_terms` are
    answer_noun: ClassVar[str] = "text"  # what `judged` yields one answer for
    answer_limits: ClassVar[str] = ""  # a sentence on what a guarantee for these answers does not cover

    @property
    def has_probabilities(self) -> bool:
        """Whether the task predicts a probability for each label, as `Model.predict_proba` requires."""
        return self.decode_probabilities is not None

    @property
    def has_vectors(self) -> bool:
        """Whether the task predicts a vector for a text, as `Model.encode` requires."""
        return self.decode_vector is not None

    @property
    def has_fillings(self) -> bool:
        """Whether the task predicts tokens for the masks of a text."""
        return self.fillings is not None

    text_kind: ClassVar[Kind] = "text"  # the kind of the fields of `form`

    def form(self, columns: tuple[str, ...]) -> Form:
        """The input form for a row with these text columns. Default: fields of the kind `text_kind`."""
        return Form(tuple(FormField(name, self.text_kind) for name in columns))

    @property
    def can_explain(self) -> bool:
        """Whether the task defines what an explanation of a prediction explains."""
        return self.explained is not None

    def sequence_texts(self, example: Any, number: int) -> tuple[str, ...]:
        """The text or texts that sequence `number` of an example was made from. Default: its texts."""
        texts: tuple[str, ...] = example.texts
        return texts

    @property
    def vector_sizes(self) -> tuple[int, ...]:
        """The sizes to which vectors were trained to be truncated. Default: none, only the full size."""
        return ()

    @property
    def span_labels(self) -> tuple[str, ...]:
        """The labels that the spans of a prediction can have, in order. Default: none, no spans."""
        return ()

    def for_scoring(self, examples: SequenceOf[Any]) -> Self:
        """The fitted task that decodes and scores predictions of these examples. Default: unchanged.

        The outputs of the model stay the same. Called before training or prediction starts, so that
        examples that cannot be scored raise DataError early.
        """
        return self

    def limitations(self, examples: SequenceOf[Any], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        """Scores that do not depend on the predictions of these examples, and labels that are missing.

        Shown before training and with the scores.
        """
        return []

    def simple_targets(self, examples: SequenceOf[Any]) -> NDArray[Any] | None:
        """The gold of labelled examples as targets of simple models, which the report compares.

        Label indices [N], sets of labels [N, C] of bool, or numbers [N]. Linear models are fitted to them,
        and `decode` gets their outputs: logits [C], or the number [1]. Default: None, no simple models.
        """
        return None

    def warnings(
        self, predictions: SequenceOf[Any], examples: SequenceOf[Any], sequences: SequenceOf[Sequence]
    ) -> list[str]:
        """Warnings about predictions made during training, each with the usual remedies. Default: none."""
        return []

    def mistakes(self, predictions: SequenceOf[Any], examples: SequenceOf[Any]) -> Mistakes | None:
        """The worst predictions, worst first, for the report. Default: None, no such section.

        The report explains the words of the worst ones if the task defines `explained`. Errors that are not
        those of single examples, such as those of queries, name the predictions to explain: see
        `metrics.mistakes.Explains`.
        """
        return None

    def extra_prediction_files(
        self, examples: SequenceOf[Any], predictions: SequenceOf[Any]
    ) -> Mapping[str, Iterable[str]]:
        """Lines of additional prediction files by suffix, from `extra_suffixes`. Default: none."""
        return {}

    def decision(self, prediction: Mapping[str, Any]) -> Any:
        """The part of a prediction that users act on, such as its label or entities. Used to compare models.

        `prediction` is plain JSON. Default: everything but numbers with a fraction.
        """
        return without_fractions(prediction)

    def is_gold(self, decision: Any, gold: Any) -> bool:
        """Whether a `decision` is the gold of a row, both as plain JSON. Default: equal, in any order."""
        if isinstance(decision, list) and isinstance(gold, list):
            return sorted(map(str, decision)) == sorted(map(str, gold))
        return bool(decision == gold)

    def shown_decision(self, decision: Any) -> Any:
        """A `decision` as a comparison shows it. Default: as it is."""
        return decision

    part_fields: ClassVar[tuple[str, ...]] = ()  # fields written for each of the rows that `grouped` merged
    # A method of tasks that group rows, with the arguments (prediction, row, columns): the `part_fields` of
    # each row in `row.parts`, and None for a row without text.
    split_prediction: ClassVar[Any] = None

    @property
    def output_scale(self) -> tuple[float, float] | None:
        """Offset and factor that convert the single output of the head to the predicted number.

        They are folded into the output layer of the saved model, so that other libraries predict the same
        number. Outputs in training, `loss` and `decode` are not scaled. Default: None, no scaling.
        """
        return None

    def save_extras(self, folder: Path, max_length: int) -> None:
        """Write additional files for other libraries to a model folder. Default: none."""
        return None


def without_fractions(value: Any) -> Any:
    """A plain JSON value without fp numbers, and without mappings to such numbers."""
    if isinstance(value, Mapping):
        if value and all(isinstance(item, float) for item in value.values()):
            return None
        return {key: without_fractions(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_fractions(item) for item in value]
    return None if isinstance(value, float) else value
