"""Owns the settings for labels that are rare or wrong: weights by name, focal loss, label smoothing."""

from collections.abc import Mapping
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from bertune.config import Section
from bertune.errors import ConfigError, did_you_mean, listed

_LEAST = 1e-4  # of a weight: nothing is learned of what weighs nothing


class ImbalanceOptions(Section):
    """Keys of [task] that change what a mistake costs."""

    weights: Literal["none", "auto"] | dict[str, float] = Field(
        "none",
        description="what a mistake on each label costs: none is all alike, auto the inverse of how "
        "frequent it is, or by name: spam=3,ham=1",
    )
    focal: float = Field(0, ge=0, description="gamma of the focal loss: above 0 easy texts count less")
    smoothing: float = Field(0, ge=0, lt=1, description="share of each label given to all labels alike")

    @field_validator("weights", mode="before")
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


class Weights:
    """The cost of each label, settled by the training examples."""

    def __init__(self, options: ImbalanceOptions) -> None:
        self._wanted = options.weights
        # Of a saved model they are all there, in the order of its outputs.
        self.by_name = dict(options.weights) if isinstance(options.weights, dict) else {}

    def settle(self, automatic: Mapping[str, float]) -> None:
        """Takes the labels there are, with the weight each would get automatically. Raises ConfigError."""
        if self._wanted == "none":
            return
        if self._wanted == "auto":
            self.by_name = {label: max(round(weight, 4), _LEAST) for label, weight in automatic.items()}
            return
        unknown = [label for label in self._wanted if label not in automatic]
        if unknown:
            raise ConfigError(
                f'task.weights: there is no label "{unknown[0]}".{did_you_mean(unknown[0], automatic)} '
                f"There are {listed(list(automatic))}"
            )
        refused = next((label for label, weight in self._wanted.items() if not weight > 0), None)
        if refused is not None:
            raise ConfigError(f'task.weights: the weight of "{refused}" must be above 0')
        self.by_name = {label: self._wanted.get(label, 1.0) for label in automatic}

    def note(self) -> tuple[str, ...]:
        """What each label weighs, in a sentence."""
        if not self.by_name:
            return ()
        shown = [f"{label} {weight:g}" for label, weight in self.by_name.items()]
        return (f"task.weights: {listed(shown, 12)}",)

    def tensor(self, labels: tuple[str, ...]) -> Tensor | None:
        """The weights in the order of the outputs [C], or None where all are alike."""
        return torch.tensor([self.by_name.get(label, 1.0) for label in labels]) if self.by_name else None
