"""What is learned. One folder a task, whose name is its registration, or one file of a user's.

From `encode` on nothing knows which task it is: models see batches, the loop sees a sum and a count. Nothing
here imports torch but the `loss.py` of a task. The folder or file exports TASK.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from bertune.config import Section, TaskConfig, validated
from bertune.data.columns import ColumnNames, Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError
from bertune.metrics.scores import Scores
from bertune.registry import exported, load
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.optional import OptionalFittedMembers, OptionalTaskMembers
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

Labels = tuple[str, ...]
Output = NDArray[np.float32]  # of a sequence: [C], or [length, C] where the head is per token


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


@dataclass(frozen=True, eq=False)
class Task(OptionalTaskMembers, ABC):
    """A task as its settings describe it, before it has seen examples. Nothing about it ever changes.

    A task of one's own derives from it, or from one that is there already; what is optional is in
    `bertune.tasks.optional`.
    """

    Options: ClassVar[type[BaseModel]] = Section  # the task's own keys of [task]
    Prediction: ClassVar[type[Any]]  # a dataclass of plain JSON values
    Fitted: ClassVar[type["FittedTask"]]  # what `fit` gives
    primary: ClassVar[str]  # the score that picks the weights kept, unless train.best_metric says otherwise
    scores: ClassVar[tuple[str, ...]]  # every score there is, the ones worth a column first
    columns: ClassVar[ColumnNames]  # the columns taken without asking
    sample: ClassVar[tuple[dict[str, Any], ...]]  # a small file of its kind, row by row: shown, and tested on

    options: Any  # an instance of Options

    @abstractmethod
    def parse(self, row: Row, columns: Columns) -> Any:
        """An Example from a row; its gold is None where `columns.label` is. Raises DataError."""

    def fit(self, examples: SequenceOf[Any]) -> "FittedTask":
        """The task with all that the training examples decide. Raises DataError, ConfigError."""
        found: FittedTask = self.fitted()
        return found

    def fitted(self, labels: Labels = (), notes: SequenceOf[str] = (), **resolved: Any) -> Any:
        """An instance of `Fitted` with these labels and notes, and options in the place of the given ones.

        Without notes and options this is also how a saved model gets its task back.
        """
        unknown = resolved.keys() - type(self.options).model_fields.keys()
        assert not unknown, f"{type(self.options).__name__} has no {unknown}"
        task = type(self)(self.options.model_copy(update=resolved)) if resolved else self
        return self.Fitted(task, tuple(labels), tuple(notes))


@dataclass(frozen=True, eq=False)
class FittedTask(OptionalFittedMembers, ABC):
    """A task that knows what it is to learn. Nothing about it ever changes, so that threads may share it."""

    task: Any  # the Task, with all its options resolved
    labels: Labels = ()  # the names of the model's outputs, in their order
    notes: tuple[str, ...] = ()  # what the user should know of what was resolved, a sentence each

    @property
    def options(self) -> Any:
        """The task's options, resolved."""
        return self.task.options

    @abstractmethod
    def encode(
        self, examples: SequenceOf[Any], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The sequences of all examples; `group` is the example's position. None truncates nothing."""

    @property
    @abstractmethod
    def head(self) -> HeadSpec:
        """What sits on the encoder; a user's model.head takes its place with as many outputs."""

    @abstractmethod
    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        """The summed loss over a batch and the number of terms in it."""

    @abstractmethod
    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Any) -> Any:
        """A Prediction from the outputs of an example's sequences."""

    @abstractmethod
    def score(self, predictions: SequenceOf[Any], examples: SequenceOf[Any]) -> Scores:
        """Scores of predictions against the gold of their examples."""


def make_task(config: TaskConfig) -> Task:
    """The task that a configuration names, with its options checked. Raises ConfigError."""
    module = load("task", config.name)
    task_class: Any = exported(module, "TASK")
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        raise ConfigError(
            f"{module.__file__}: TASK must be a class derived from bertune.tasks.Task; it is {task_class!r}"
        )
    declared = ("Prediction", "Fitted", "primary", "scores", "columns", "sample")
    missing = [*sorted(task_class.__abstractmethods__), *(n for n in declared if not hasattr(task_class, n))]
    if missing:
        raise ConfigError(f"{module.__file__}: TASK lacks {', '.join(missing)}; see bertune.tasks.Task")
    fitted_class = task_class.Fitted
    if not (isinstance(fitted_class, type) and issubclass(fitted_class, FittedTask)):
        raise ConfigError(
            f"{module.__file__}: {task_class.__name__}.Fitted must be a class derived from "
            f"bertune.tasks.FittedTask; it is {fitted_class!r}"
        )
    lacking = sorted(fitted_class.__abstractmethods__)
    if lacking:
        raise ConfigError(
            f"{module.__file__}: {fitted_class.__name__} lacks {', '.join(lacking)}; see "
            "bertune.tasks.FittedTask"
        )
    task: Task = task_class(validated(task_class.Options, config.options, prefix="task."))
    return task
