"""Owns what training tells its caller: the consumer prints, draws or ignores it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bertune.run import Run

if TYPE_CHECKING:  # those who only show events need no torch
    from bertune.training.loop import Step
    from bertune.training.preparing import Prepared


@dataclass(frozen=True)
class DataReady:
    """The data is read, checked and encoded; nothing is written yet."""

    prepared: Prepared


@dataclass(frozen=True)
class Started:
    """The run folder is there and the model is built."""

    run: Run
    manifest: dict[str, Any]
    resumed_at: int  # steps already taken, 0 for a new run


@dataclass(frozen=True)
class Stepped:
    """One optimizer step was taken."""

    step: Step
    total: int


@dataclass(frozen=True)
class Evaluated:
    """The validation texts were scored."""

    line: dict[str, Any]  # the `validation` object of metrics.jsonl, with step and epoch


@dataclass(frozen=True)
class Noted:
    """Something that was decided for the user, in a line."""

    text: str


@dataclass(frozen=True)
class Warned:
    """Something the user should know, with the usual remedies."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The run is complete: weights, predictions and scores are in its folder."""

    run: Run


Event = DataReady | Started | Stepped | Evaluated | Noted | Warned | Finished
