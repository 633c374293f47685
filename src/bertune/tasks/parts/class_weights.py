"""Owns the settings for labels that are rare or wrong: weights by name, focal loss, label smoothing."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from bertune.config import Section
from bertune.errors import ConfigError, did_you_mean, listed

_LEAST = 1e-4  # of a weight: nothing is learned of what weighs nothing


class ImbalanceOptions(Section):
    """Keys of [task] that change what a mistake costs."""

    class_weights: Literal["none", "auto"] | dict[str, float] = Field(
        "none",
        description="what a mistake on each label costs: none is all alike, auto the inverse of how "
        "frequent it is, or by name: spam=3,ham=1",
    )
    focal_gamma: float = Field(0, ge=0, description="gamma of the focal loss: above 0 easy texts count less")
    label_smoothing: float = Field(0, ge=0, lt=1, description="share of each label given to all labels alike")

    @field_validator("class_weights", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        """`spam=3,ham=1` as the command line has it."""
        if not isinstance(value, str) or value in ("none", "auto"):
            return value
        pairs = [part.rpartition("=") for part in value.split(",")]
        weights = {name.strip(): weight.strip() for name, _, weight in pairs}
        if len(weights) < len(pairs) or not all(weights):
            raise ValueError("it must be none, auto, or a weight for each name once: spam=3,ham=1")
        return weights


ClassWeights = dict[str, float]  # by label, in the order of the outputs; empty where all are alike


def resolved_weights(wanted: str | ClassWeights, automatic: Mapping[str, float]) -> ClassWeights:
    """The weight of each label there is, given what each would get automatically. Raises ConfigError."""
    if wanted == "none":
        return {}
    if isinstance(wanted, str):
        return {label: max(round(weight, 4), _LEAST) for label, weight in automatic.items()}
    unknown = [label for label in wanted if label not in automatic]
    if unknown:
        raise ConfigError(
            f'task.class_weights: there is no label "{unknown[0]}".{did_you_mean(unknown[0], automatic)} '
            f"There are {listed(list(automatic))}"
        )
    refused = next((label for label, weight in wanted.items() if not weight > 0), None)
    if refused is not None:
        raise ConfigError(f'task.class_weights: the weight of "{refused}" must be above 0')
    return {label: wanted.get(label, 1.0) for label in automatic}


def weights_note(weights: ClassWeights) -> tuple[str, ...]:
    """What each label weighs, in a sentence."""
    if not weights:
        return ()
    shown = [f"{label} {weight:g}" for label, weight in weights.items()]
    return (f"task.class_weights: {listed(shown, 12)}",)
