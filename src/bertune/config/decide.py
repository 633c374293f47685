"""The settings in [decide] and [gate]: calibration, decision rules and quality gates."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from bertune.config.section import Section
from bertune.errors import ConfigError


class DecideConfig(Section):
    """Calibration, and which predictions can be used without review. All others are marked for review."""

    calibration: Literal["auto", "none"] = Field(
        "auto",
        description="temperature scaling of probabilities; auto: if there are calibration rows; none: off",
    )
    max_error: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="guarantee: at most this share of the answers given without review is wrong; per "
        "entity or label for tasks that predict several",
    )
    confidence: float = Field(
        0.95, gt=0, lt=1, description="probability with which the guarantee of decide.max_error holds"
    )
    abstain_below: float | None = Field(
        None,
        gt=0,
        le=1,
        description="mark predictions with a lower probability for review, without a guarantee",
    )
    objective: Literal["none", "f1", "precision", "recall", "cost"] = Field(
        "none",
        description="what the cutoff of each label optimizes: F1, precision or recall with the minimum "
        "decide.target, or cost; in single-label tasks, only cost applies to more than two labels",
    )
    target: float | None = Field(
        None, gt=0, le=1, description="minimum precision or recall for decide.objective"
    )
    costs: dict[str, float] | None = Field(
        None,
        min_length=1,
        description="costs of errors, 1 by default: GOLD>PREDICTED=10,…; for several labels per text: "
        "missed=5,wrong=1, or missed LABEL=5",
    )

    @field_validator("costs", mode="before")
    @classmethod
    def _by_name(cls, value: object) -> object:
        """Parse `spam>ham=1,ham>spam=10` from the command line."""
        if not isinstance(value, str):
            return value
        pairs = [part.rpartition("=") for part in value.split(",")]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("must be names and costs, such as spam>ham=10,ham>spam=1")
        return {name.strip(): cost.strip() for name, _, cost in pairs}

    @field_validator("costs")
    @classmethod
    def _positive(cls, value: dict[str, float] | None) -> dict[str, float] | None:
        for name, cost in (value or {}).items():
            if not cost > 0:
                raise ValueError(f'the cost of "{name}" must be greater than 0')
        return value

    def refuse_contradictions(self) -> None:
        """Raise ConfigError for settings that contradict each other or are incomplete."""
        needs_target = self.objective in ("precision", "recall")
        if needs_target and self.target is None:
            raise ConfigError(
                f"decide.objective={self.objective} needs a minimum. Set decide.target, such as 0.9"
            )
        if self.target is not None and not needs_target:
            raise ConfigError("decide.target needs decide.objective=precision or recall. Set one of them")
        if self.objective == "cost" and self.costs is None:
            raise ConfigError("decide.objective=cost needs the costs of errors. Set decide.costs")
        if self.costs is not None and self.objective != "cost":
            raise ConfigError(
                "decide.costs only applies to decide.objective=cost. Set it, or remove the costs"
            )
        if self.max_error is not None and self.abstain_below is not None:
            raise ConfigError(
                "decide.max_error and decide.abstain_below both set a threshold. Keep one of them"
            )

    @property
    def has_target(self) -> bool:
        """Whether to fit a decision rule."""
        return self.max_error is not None or self.abstain_below is not None or self.objective != "none"


class GateConfig(BaseModel):
    """Quality gates. The keys are names of scores, such as gate.accuracy=0.9 or gate.log_loss=0.5.

    gate.ece and gate.brier limit the calibration error of tasks that can be calibrated.

    If a final score does not reach its limit (or exceeds it, if lower is better), the run is completed and
    reported, and the command exits with code 5.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)
    __pydantic_extra__: dict[str, float]

    @property
    def limits(self) -> dict[str, float]:
        """The limits by score."""
        return dict(self.__pydantic_extra__ or {})
