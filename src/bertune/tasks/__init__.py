"""What is learned. One file a task; the file's name is its registration; it exports TASK.

From `encode` on nothing knows which task it is: models see batches, the loop sees a sum and a count.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Iterable, Mapping
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol

import numpy as np
from pydantic import BaseModel
from torch import Tensor

from bertune.config import Section, TaskConfig, validated
from bertune.data.columns import Columns, cell_text
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.registry import exported, load
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer

Labels = tuple[str, ...]


class Example(Protocol):
    """One thing to learn from or to predict: inputs first, gold last and None when predicting."""

    @property
    def id(self) -> str: ...
    @property
    def origin(self) -> Origin: ...
    @property
    def texts(self) -> tuple[str, ...]: ...
    @property
    def gold(self) -> Any: ...


class Task(ABC):
    """What a task decides. A task of one's own derives from it and leaves out what has a default."""

    Options: ClassVar[type[BaseModel]] = Section  # the task's own keys of [task]
    Prediction: ClassVar[type[Any]]  # a dataclass of plain JSON values
    primary: ClassVar[str]  # the score that picks the weights kept, unless train.best_by says otherwise
    scores: ClassVar[tuple[str, ...]]  # every score there is, the ones worth a column first
    text_names: ClassVar[tuple[tuple[str, ...], ...]]  # column names that are taken for texts without asking
    label_names: ClassVar[tuple[str, ...]] = ()
    num_texts: ClassVar[tuple[int, ...]] = (1, 2)  # how many text columns it can do with
    sample: ClassVar[tuple[dict[str, Any], ...]]  # a small file of its kind, row by row: shown, and tested on
    row_noun: ClassVar[str] = "text"  # what a row is called in a report: "question", say
    file_endings: ClassVar[tuple[str, ...]] = ()  # of the further files that `also_write` may give

    def __init__(self, options: Any) -> None:
        self.options = options

    @property
    def needs_label(self) -> bool:
        """Whether there is nothing to learn, or to score, without a label column."""
        return True

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
    def varies(self) -> bool:
        """Whether `vary` changes sequences, so that nothing can be computed or left out ahead of a step."""
        return type(self).vary is not Task.vary

    @property
    def predicts_single_texts(self) -> bool:
        """Whether a model trained on several text columns says something about each text alone."""
        return False

    @abstractmethod
    def parse(self, row: Row, columns: Columns) -> Any:
        """An Example from a row; its gold is None where `columns.label` is. Raises DataError."""

    def is_blank(self, row: Row, columns: Columns) -> bool:
        """Whether a row has nothing to predict from. Raises DataError for cells that cannot be texts."""
        return not all(cell_text(row, column).strip() for column in columns.text)

    def labels(self, examples: SequenceOf[Any]) -> Labels:
        """The names of the model's outputs, in their order, from the training examples. Raises DataError."""
        return ()

    def notes(self) -> tuple[str, ...]:
        """What `labels` settled that the user should know, a sentence each."""
        return ()

    def settled(self) -> dict[str, Any]:
        """Options that `labels` settled, as the saved model is to have them."""
        return {}

    def names(self, example: Any) -> tuple[str, ...]:
        """What the audit counts of an example's gold: its label."""
        return () if example.gold is None else (str(example.gold),)

    def stratum(self, example: Any) -> Hashable:
        """Where training rows are split: those with the same are spread evenly; None: at random."""
        return None

    def unit(self, example: Any) -> Hashable:
        """Where training rows are split: those with the same stay on one side; None: each for itself."""
        return None

    def lessons(self, examples: SequenceOf[Any]) -> SequenceOf[SequenceOf[int]] | None:
        """Positions of training examples that are learned from as one; None: each for itself.

        train.batch_size then counts lessons and a batch's groups are lessons; what is in none is left out.
        """
        return None

    @property
    def learns_windows_apart(self) -> bool:
        """Whether the sequences of a training example are learned from each for itself.

        train.batch_size then counts sequences, and a batch's groups are single ones.
        """
        return False

    @property
    def least_batch_size(self) -> int:
        """The fewest examples of a step from which anything can be learned; known after `labels`."""
        return 1

    def auto_length(self, limit: int) -> int:
        """The tokens of a sequence where model.max_length is auto; `limit` is the most the model takes."""
        return limit

    @abstractmethod
    def encode(
        self, examples: SequenceOf[Any], tokenizer: Tokenizer, max_length: int | None, labels: Labels
    ) -> list[Sequence]:
        """The sequences of all examples; `group` is the example's position. None truncates nothing."""

    def vary(self, sequences: list[Sequence], random: np.random.Generator) -> list[Sequence]:
        """The sequences of an optimizer step as they are to be learned from this time; as they are."""
        return sequences

    @abstractmethod
    def head(self, labels: Labels) -> StandardHead:
        """What sits on the encoder; a user's model.head takes its place with as many outputs."""

    @abstractmethod
    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The summed loss over a batch and the number of terms in it."""

    def condense(self, outputs: Tensor, batch: Batch) -> Tensor:
        """What `decode` needs of a batch's outputs, a row for a sequence or a token; all of them."""
        return outputs

    @abstractmethod
    def decode(self, outputs: list[Tensor], sequences: list[Sequence], example: Any, labels: Labels) -> Any:
        """A Prediction from the outputs of an example's sequences, on the CPU: [C] each, or [length, C]."""

    def check(self, examples: SequenceOf[Any], labels: Labels) -> None:
        """Raises DataError where examples cannot be scored; asked before anything is learned or predicted."""
        return None

    @abstractmethod
    def score(self, predictions: SequenceOf[Any], examples: SequenceOf[Any], labels: Labels) -> Scores:
        """Scores of predictions against the gold of their examples."""

    def warnings(self, predictions: SequenceOf[Any], examples: SequenceOf[Any], labels: Labels) -> list[str]:
        """What looks wrong with predictions made during training, with the usual remedies."""
        return []

    def mistakes(
        self, predictions: SequenceOf[Any], examples: SequenceOf[Any], labels: Labels
    ) -> Mistakes | None:
        """What a report shows of examples that went wrong, the worst first; None shows nothing."""
        return None

    def also_write(
        self, examples: SequenceOf[Any], predictions: SequenceOf[Any]
    ) -> Mapping[str, Iterable[str]]:
        """Lines of further files beside predictions, by their ending, of those in `file_endings`: none."""
        return {}

    def also_save(self, folder: Path, max_length: int) -> None:
        """Writes what others want to find in a model folder beside the Hugging Face files: nothing."""
        return None


def make_task(config: TaskConfig) -> Task:
    """The task that a configuration names, with its options checked. Raises ConfigError."""
    module = load("task", config.name)
    task_class: Any = exported(module, "TASK")
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        raise ConfigError(
            f"{module.__file__}: TASK must be a class derived from bertune.tasks.Task; it is {task_class!r}"
        )
    declared = ("Prediction", "primary", "scores", "text_names", "sample")
    missing = [*sorted(task_class.__abstractmethods__), *(n for n in declared if not hasattr(task_class, n))]
    if missing:
        raise ConfigError(f"{module.__file__}: TASK lacks {', '.join(missing)}; see bertune.tasks.Task")
    task: Task = task_class(validated(task_class.Options, config.options, prefix="task."))
    return task
