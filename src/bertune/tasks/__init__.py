"""The task interface. Each task is a folder of this package, registered by its name, or a user's own file.

The folder or file exports TASK. Code that runs after `encode` does not depend on the task: models see
batches, and the training loop sees a sum of losses and a count. Only the `loss.py` of a task imports torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from bertune.config import Section, TaskConfig
from bertune.data.columns import ColumnNames, Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, SettingsError, listed
from bertune.metrics.calibration import Calibration
from bertune.metrics.decisions import DecisionRule
from bertune.metrics.scores import Scores
from bertune.registry import exported, load, names
from bertune.settings import validated
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.optional import OptionalFittedMembers, OptionalTaskMembers
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

Labels = tuple[str, ...]
Output = NDArray[np.float32]  # of one sequence: [C], or [length, C] with a head that works per token


class Example(Protocol):
    """One example to train on or predict. `gold` is None when predicting."""

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
    """A task as configured, before it has seen examples. Instances are immutable.

    Custom tasks derive from this class or from an existing task. Optional members are in
    `bertune.tasks.optional`.
    """

    Options: ClassVar[type[BaseModel]] = Section  # task-specific keys of [task]
    Prediction: ClassVar[type[Any]]  # a dataclass of plain JSON values
    Fitted: ClassVar[type["FittedTask"]]  # the class that `fit` returns
    primary: ClassVar[str]  # the score that selects the checkpoint unless train.best_metric is set
    scores: ClassVar[tuple[str, ...]]  # all scores, the most important first
    columns: ClassVar[ColumnNames]  # column names that are recognized automatically
    sample: ClassVar[tuple[dict[str, Any], ...]]  # rows of a small data file, for docs and tests

    options: Any  # an instance of Options

    @abstractmethod
    def parse(self, row: Row, columns: Columns) -> Any:
        """The Example of a row; its gold is None if `columns.label` is None. Raises DataError."""

    def fit(self, examples: SequenceOf[Any]) -> "FittedTask":
        """The task fitted to the training examples. Raises DataError or ConfigError."""
        fitted_task: FittedTask = self.fitted()
        return fitted_task

    def fitted(self, labels: Labels = (), notes: SequenceOf[str] = (), **resolved: Any) -> Any:
        """An instance of `Fitted` with these labels and notes; `resolved` replaces options by name.

        The task of a saved model is restored by passing its labels only.
        """
        unknown = resolved.keys() - type(self.options).model_fields.keys()
        assert not unknown, f"{type(self.options).__name__} has no {unknown}"
        task = type(self)(self.options.model_copy(update=resolved)) if resolved else self
        return self.Fitted(task, tuple(labels), tuple(notes))


@dataclass(frozen=True, eq=False)
class FittedTask(OptionalFittedMembers, ABC):
    """A task fitted to training examples. Instances are immutable, so threads can share them."""

    task: Any  # the Task with all options resolved
    labels: Labels = ()  # names of the model's outputs, in order
    notes: tuple[str, ...] = ()  # how options were resolved, one sentence each, for the user
    calibration: Calibration | None = None  # temperatures that `decode` applies
    rule: DecisionRule | None = None  # which predictions are marked for review; `decode` applies it

    def calibrated(self, outputs: NDArray[Any]) -> NDArray[Any]:
        """Outputs [..., C], divided by the temperatures of the model if it has any."""
        return outputs if self.calibration is None else self.calibration.scaled(outputs)

    def decided(self, confidence: float, question: str = "") -> str | None:
        """The value of `decision` for a prediction with this confidence; None without a decision rule."""
        return None if self.rule is None else self.rule.decision(confidence, question)

    @property
    def prediction_fields(self) -> tuple[str, ...]:
        """The names of the fields that the predictions of this model have."""
        decides = self.rule is not None and self.rule.thresholds is not None
        return tuple(f.name for f in fields(self.task.Prediction) if decides or f.metadata != OF_A_RULE)

    @property
    def options(self) -> Any:
        """The resolved options of the task."""
        return self.task.options

    @abstractmethod
    def encode(
        self, examples: SequenceOf[Any], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The sequences of all examples; `group` is the index of the example.

        Nothing is truncated if `max_length` is None.
        """

    @property
    @abstractmethod
    def head(self) -> HeadSpec:
        """The head on top of the encoder. A custom model.head must have the same number of outputs."""

    @abstractmethod
    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        """The summed loss of a batch and the number of summed terms."""

    @abstractmethod
    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Any) -> Any:
        """The Prediction for an example, from the outputs of its sequences."""

    @abstractmethod
    def score(self, predictions: SequenceOf[Any], examples: SequenceOf[Any]) -> Scores:
        """The scores of predictions against the gold of their examples."""


# The metadata of a field of a Prediction that only models with a decision rule have; its default is None.
OF_A_RULE = {"only": "with a decision rule"}


def plain_fields(prediction: Any) -> dict[str, Any]:
    """A prediction as a dict of plain JSON values, without the fields of a rule that is not there."""
    values = ((f, getattr(prediction, f.name)) for f in fields(prediction))
    return {f.name: value for f, value in values if value is not None or f.metadata != OF_A_RULE}


def make_task(config: TaskConfig) -> Task:
    """The task named in a configuration, with validated options. Raises ConfigError."""
    module = load("task", config.name)
    task_class: Any = exported(module, "TASK")
    if not (isinstance(task_class, type) and issubclass(task_class, Task)):
        raise ConfigError(
            f"{module.__file__}: TASK must be a subclass of bertune.tasks.Task, got {task_class!r}"
        )
    declared = ("Prediction", "Fitted", "primary", "scores", "columns", "sample")
    missing = [*sorted(task_class.__abstractmethods__), *(n for n in declared if not hasattr(task_class, n))]
    if missing:
        raise ConfigError(
            f"{module.__file__}: TASK does not define {', '.join(missing)}; see bertune.tasks.Task"
        )
    fitted_class = task_class.Fitted
    if not (isinstance(fitted_class, type) and issubclass(fitted_class, FittedTask)):
        raise ConfigError(
            f"{module.__file__}: {task_class.__name__}.Fitted must be a subclass of "
            f"bertune.tasks.FittedTask, got {fitted_class!r}"
        )
    abstract = sorted(fitted_class.__abstractmethods__)
    if abstract:
        raise ConfigError(
            f"{module.__file__}: {fitted_class.__name__} does not define {', '.join(abstract)}; see "
            "bertune.tasks.FittedTask"
        )
    try:
        options = validated(task_class.Options, config.options, prefix="task.")
    except SettingsError as error:
        problems = [(key, _of_other_task(key, config.name) or text) for key, text in error.problems]
        raise SettingsError(problems) from error
    task: Task = task_class(options)
    return task


def _of_other_task(key: str, task: str) -> str:
    """The problem with an option that `task` does not have but other known tasks do; otherwise empty."""
    known: dict[str, Any] = {name: exported(load("task", name), "TASK") for name in names("task")}
    owners = [
        name for name, other in known.items() if key.removeprefix("task.") in other.Options.model_fields
    ]
    if not owners or task in owners:
        return ""
    return (
        f"{key} is not a setting of task.name={task}. It belongs to {listed(owners)}: set task.name, or "
        f"remove {key}"
    )
