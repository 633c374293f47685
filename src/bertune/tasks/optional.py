"""What a task may decide beside what it must: every optional member, with what holds where it is left out."""

from collections.abc import Hashable, Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np

from bertune.data.columns import Columns, cell_text
from bertune.data.rows import Row
from bertune.metrics.mistakes import Mistakes
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch


class OptionalTaskMembers:
    """What a task may say of rows and examples, before anything is learned."""

    noun: ClassVar[str] = "text"  # what a row is called in a report: "question", say
    extra_suffixes: ClassVar[tuple[str, ...]] = ()  # of the files that `extra_prediction_files` may give

    @property
    def needs_label(self) -> bool:
        """Whether there is nothing to learn, or to score, without a label column."""
        return True

    @property
    def predicts_single_texts(self) -> bool:
        """Whether a model trained on several text columns says something about each text alone."""
        return False

    def is_blank(self, row: Row, columns: Columns) -> bool:
        """Whether a row has nothing to predict from. Raises DataError for cells that cannot be texts."""
        return not all(cell_text(row, column).strip() for column in columns.text)

    def stratify_key(self, example: Any) -> Hashable:
        """Where training rows are split: those with the same are spread evenly; None: at random."""
        return None

    def group_key(self, example: Any) -> Hashable:
        """Where training rows are split: those with the same stay on one side; None: each for itself."""
        return None


class OptionalFittedMembers:
    """What a fitted task may decide about learning, predicting and reporting."""

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        """What must share a forward pass: nothing, an example's sequences, or all of an optimizer step.

        With "step" the loss sees the outputs of the whole step, however it is cut, and none is computed
        when predicting.
        """
        return "sequence"

    @property
    def has_validation_loss(self) -> bool:
        """Whether the loss can be told of examples that are only predicted."""
        return self.keep_together != "step"

    @property
    def least_batch_size(self) -> int:
        """The fewest examples of a step from which anything can be learned."""
        return 1

    @property
    def windows_are_examples(self) -> bool:
        """Whether the sequences of a training example are learned from each for itself.

        train.batch_size then counts sequences, and a batch's groups are single ones.
        """
        return False

    @property
    def is_resampled(self) -> bool:
        """Whether `resample` changes sequences, so that nothing is computed or left out before a step."""
        return type(self).resample is not OptionalFittedMembers.resample

    def resample(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        """The sequences of an optimizer step as they are to be learned from this time; as they are."""
        return sequences

    def bound(self, tokenizer: Tokenizer) -> Self:
        """The same with what it must know of the tokenizer, before anything is encoded; as it is."""
        return self

    def group_training_examples(self, examples: SequenceOf[Any]) -> SequenceOf[SequenceOf[int]] | None:
        """Positions of training examples that are learned from as one; None: each for itself.

        train.batch_size then counts such groups, and a batch's groups are these; what is in none is left out.
        """
        return None

    def auto_length(self, limit: int) -> int:
        """The tokens of a sequence where model.max_length is auto; `limit` is the most the model takes."""
        return limit

    def label_names(self, example: Any) -> tuple[str, ...]:
        """What the audit counts of an example's gold: its label."""
        return () if example.gold is None else (str(example.gold),)

    def reduce_outputs(self, outputs: "Tensor", batch: "Batch") -> "Tensor":
        """What `decode` needs of a batch's outputs, a row for a sequence or a token; all of them."""
        return outputs

    @property
    def has_probabilities(self) -> bool:
        """Whether each label has a probability, so that `Model.predict_proba` can be used."""
        return type(self).decode_probabilities is not OptionalFittedMembers.decode_probabilities

    def decode_probabilities(self, outputs: list[Any], sequences: list[Sequence], example: Any) -> Any:
        """The probability of every label [C], in fp64, from what `decode` gets: none."""
        raise NotImplementedError("this task has no probabilities of labels")

    @property
    def has_vectors(self) -> bool:
        """Whether a text has a vector, so that `Model.encode` can be used."""
        return type(self).decode_vector is not OptionalFittedMembers.decode_vector

    def decode_vector(self, outputs: list[Any], sequences: list[Sequence], example: Any) -> Any:
        """The vector [H] of an example of one text, in fp32, from what `decode` gets: none.

        Raises DataError for an example of several texts.
        """
        raise NotImplementedError("this task has no vectors of texts")

    def for_scoring(self, examples: SequenceOf[Any]) -> Self:
        """What decodes and scores predictions of these examples: itself. The network computes the same.

        Raises DataError where they cannot be scored; asked before anything is learned or predicted.
        """
        return self

    def warnings(
        self, predictions: SequenceOf[Any], examples: SequenceOf[Any], sequences: SequenceOf[Sequence]
    ) -> list[str]:
        """What looks wrong with predictions made during training, with the usual remedies."""
        return []

    def mistakes(self, predictions: SequenceOf[Any], examples: SequenceOf[Any]) -> Mistakes | None:
        """What a report shows of examples that went wrong, the worst first; None shows nothing."""
        return None

    def extra_prediction_files(
        self, examples: SequenceOf[Any], predictions: SequenceOf[Any]
    ) -> Mapping[str, Iterable[str]]:
        """Lines of further files beside predictions, by their suffix, one of `extra_suffixes`: none."""
        return {}

    def save_extras(self, folder: Path, max_length: int) -> None:
        """Writes what others want to find in a model folder beside the Hugging Face files: nothing."""
        return None
