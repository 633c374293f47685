"""Options for rare and noisy labels: class weights, focal loss and label smoothing."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from bertune.config import Section
from bertune.errors import ConfigError, did_you_mean, listed

_MIN_WEIGHT = 1e-4  # a class with weight 0 would be ignored in training


class ImbalanceOptions(Section):
    """Keys of [task] that weight the loss."""

    class_weights: Literal["none", "auto"] | dict[str, float] = Field(
        "none",
        description="weight of each label in the loss; none: equal weights; auto: inverse to the label's "
        "frequency; or weights by name: spam=3,ham=1",
    )
    focal_gamma: float = Field(0, ge=0, description="gamma of the focal loss; above 0, easy texts count less")
    label_smoothing: float = Field(
        0, ge=0, lt=1, description="share of the target probability that is spread over all labels"
    )

    @field_validator("class_weights", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        """Parse `spam=3,ham=1` from the command line."""
        if not isinstance(value, str) or value in ("none", "auto"):
            return value
        pairs = [part.rpartition("=") for part in value.split(",")]
        weights = {name.strip(): weight.strip() for name, _, weight in pairs}
        if len(weights) < len(pairs) or not all(weights) or not all(map(_is_number, weights.values())):
            raise ValueError("must be 'none', 'auto' or one number per label, as in spam=3,ham=1")
        return weights


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


ClassWeights = dict[str, float]  # by label, in the order of the outputs; empty if all are equal


def resolved_weights(weights: str | ClassWeights, automatic: Mapping[str, float]) -> ClassWeights:
    """The weight of each label; `automatic` are the weights for "auto". Raises ConfigError."""
    if weights == "none":
        return {}
    if isinstance(weights, str):
        return {label: max(round(weight, 4), _MIN_WEIGHT) for label, weight in automatic.items()}
    unknown = [label for label in weights if label not in automatic]
    if unknown:
        raise ConfigError(
            f'task.class_weights: unknown label "{unknown[0]}".{did_you_mean(unknown[0], automatic)} '
            f"The labels are {listed(list(automatic))}"
        )
    invalid = next((label for label, weight in weights.items() if not weight > 0), None)
    if invalid is not None:
        raise ConfigError(f'task.class_weights: the weight of "{invalid}" must be greater than 0')
    return {label: weights.get(label, 1.0) for label in automatic}


def weights_note(weights: ClassWeights) -> tuple[str, ...]:
    """A note for the user with the weight of each label; empty if all are equal."""
    if not weights:
        return ()
    shown = [f"{label} {weight:g}" for label, weight in weights.items()]
    return (f"task.class_weights: {listed(shown, 12)}",)
