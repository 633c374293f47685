"""What is learned. One file a task; the file's name is its registration; it exports TASK.

From `encode` on nothing knows which task it is: models see batches, the loop sees a sum and a count.
"""

from collections.abc import Sequence as SequenceOf
from typing import Any, ClassVar, Protocol

from pydantic import BaseModel
from torch import Tensor

from bertune.config import TaskConfig, validated
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError
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


class Task(Protocol):
    """What a task decides. Its Prediction is a dataclass of plain JSON values."""

    Options: ClassVar[type[BaseModel]]  # the task's own keys of [task]
    Prediction: ClassVar[type[Any]]
    primary: ClassVar[str]  # the score that picks the weights kept, unless train.best_by says otherwise
    scores: ClassVar[tuple[str, ...]]  # every score there is, the ones worth a column first
    text_names: ClassVar[tuple[tuple[str, ...], ...]]  # column names that are taken for texts without asking
    label_names: ClassVar[tuple[str, ...]]
    sample: ClassVar[SequenceOf[Any]]  # a few Examples for documentation and the conformance tests

    def __init__(self, options: Any) -> None: ...

    def parse(self, row: Row, columns: Columns) -> Any:
        """An Example from a row; its gold is None where `columns.label` is. Raises DataError."""

    def labels(self, examples: SequenceOf[Any]) -> Labels:
        """The label names of the training examples, in the order of the model's outputs. Raises DataError."""

    def encode(
        self, examples: SequenceOf[Any], tokenizer: Tokenizer, max_length: int | None, labels: Labels
    ) -> list[Sequence]:
        """The sequences of all examples; `group` is the example's position. None truncates nothing."""

    def head(self, labels: Labels) -> StandardHead:
        """What sits on the encoder; a user's model.head takes its place with as many outputs."""

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The summed loss over a batch and the number of terms in it."""

    def decode(self, outputs: Tensor, example: Any, labels: Labels) -> Any:
        """A Prediction from the outputs of an example's sequences, [sequences, …] on the CPU."""

    def score(self, predictions: SequenceOf[Any], examples: SequenceOf[Any], labels: Labels) -> Scores:
        """Scores of predictions against the gold of their examples."""

    def warnings(self, predictions: SequenceOf[Any], labels: Labels) -> list[str]:
        """What looks wrong with predictions made during training, with the usual remedies."""


def make_task(config: TaskConfig) -> Task:
    """The task that a configuration names, with its options checked. Raises ConfigError."""
    module = load("task", config.name)
    task_class: Any = exported(module, "TASK")
    if not (isinstance(task_class, type) and hasattr(task_class, "Options")):
        raise ConfigError(
            f"{module.__file__}: TASK must be a class like bertune.tasks.Task; it is {task_class!r}"
        )
    task: Task = task_class(validated(task_class.Options, config.options, prefix="task."))
    return task
