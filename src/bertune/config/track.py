"""The settings in [track]: where training is logged."""

from typing import Literal

from pydantic import Field, field_validator

from bertune.config.section import Section, comma_separated


class TrackConfig(Section):
    """Experiment trackers that log training. They never change its results. See docs/tracking.md."""

    to: tuple[str, ...] = Field(
        (),
        description="trackers: tensorboard, mlflow, wandb, trackio, or the path of your own tracker.py; "
        "several separated by commas; default: none",
    )
    project: str = Field(
        "bertune", min_length=1, description="project or experiment of the tracker in which the run appears"
    )
    name: str | None = Field(
        None, min_length=1, description="name of the run in the tracker; default: the name of the run folder"
    )
    artifacts: tuple[Literal["report", "model"], ...] = Field(
        ("report", "model"),
        description="what trackers with artifacts store after training: report, model, or none; the report "
        "contains texts of the data",
    )

    @field_validator("to", "artifacts", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        parts = comma_separated(value)
        return () if parts == ("none",) or value is None else parts

    @field_validator("to")
    @classmethod
    def _distinct(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(value):
            raise ValueError("must be names separated by commas, such as tensorboard,mlflow")
        return tuple(dict.fromkeys(value))
