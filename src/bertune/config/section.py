"""The base of all sections of settings, and what several of them use."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

Auto = Literal["auto"]


Settings = dict[str, dict[str, Any]]


# json_schema_extra of a task option that only affects prediction: it can be changed for a trained model.
CHANGEABLE: dict[str, Any] = {"changeable": True}


class Section(BaseModel):
    """A closed, frozen group of settings. Unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


def comma_separated(value: object) -> object:
    """The parts of a string that commas separate, as written on the command line; other values unchanged."""
    return tuple(part.strip() for part in value.split(",")) if isinstance(value, str) else value


def fraction_in(value: object) -> float | None:
    """The number that "0.2", 0.2 or "20%" stands for, if it is between 0 and 1; None for anything else."""
    text = str(value)
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        return None
    return number if 0 < number < 1 else None
