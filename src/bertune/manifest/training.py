"""Records of the model and of its training."""

from pydantic import Field

from bertune.record import Record


class BlockRecord(Record):
    """A block of the model and its number of parameters."""

    name: str | None = None
    parameters: int | None = None
    trained: bool | None = None


class ModelRecord(Record):
    """The encoder and its size."""

    name: str | None = None
    weights: str | None = None
    class_name: str | None = Field(None, alias="class")
    forward: str | None = None  # "packed", or "padded: " and the reason
    parameters: int | None = None
    blocks: list[BlockRecord] | None = None


class BestRecord(Record):
    """The step of the best checkpoint."""

    step: int | None = None
    epoch: float | None = None
    score: str | None = None
    value: float | None = None
    lower_is_better: bool | None = None
    # The step with the best score, even if it is not clearly better than the selected one.
    top_step: int | None = None
    top_value: float | None = None


class TrainingRecord(Record):
    """The planned steps, and the steps that were taken."""

    total_steps: int | None = None
    steps_per_epoch: int | None = None
    warmup_steps: int | None = None
    steps_done: int | None = None
    stopped_early: bool | None = None
    best: BestRecord | None = None


class RefitRecord(Record):
    """The refit on training and validation rows together, whose model was saved."""

    steps: int
    rows: int
    seconds: float | None = None
    is_decided: bool | None = None  # whether it has its own temperature or decision rule
