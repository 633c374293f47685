"""Events that training yields to its caller, which displays or ignores them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from bertune.errors import Interrupted
from bertune.run import Run

if TYPE_CHECKING:  # so that displaying events does not import torch
    from bertune.training.loop import Step
    from bertune.training.preparing import Prepared


@dataclass(frozen=True)
class DataReady:
    """The data has been read, checked and encoded. Nothing has been written yet."""

    prepared: Prepared


@dataclass(frozen=True)
class Started:
    """The run folder has been created and the model has been built."""

    run: Run
    manifest: dict[str, Any]
    resumed_at: int  # steps already taken; 0 for a new run


@dataclass(frozen=True)
class Stepped:
    """One optimizer step was taken."""

    step: Step
    total: int


@dataclass(frozen=True)
class Evaluated:
    """The validation split was evaluated."""

    line: dict[str, Any]  # the `validation` object of metrics.jsonl, with step and epoch


@dataclass(frozen=True)
class Noted:
    """A note on an automatic decision, in one line."""

    text: str


@dataclass(frozen=True)
class Warned:
    """A warning, with the usual remedies."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The run is complete. Its folder contains weights, predictions and scores."""

    run: Run


Event = DataReady | Started | Stepped | Evaluated | Noted | Warned | Finished

_Event = TypeVar("_Event")
_Final = TypeVar("_Final")


def final(
    events: Iterable[_Event], kind: type[_Final], show: Callable[[_Event], None] | None = None
) -> _Final:
    """Consume all events, each after it was passed to `show`, and return the one of type `kind`.

    Such an event is among them unless they raise an error. Raises Interrupted instead of KeyboardInterrupt
    once there is a run to resume. While a run trains, signals only set a flag (`training.signals`), so this
    happens between the runs of several folds, seeds or trials, and while results are collected and reported.
    """
    found, is_started = None, False
    try:
        for event in events:
            is_started = is_started or isinstance(event, Started)
            if show is not None:
                show(event)
            if isinstance(event, kind):
                found = event
    except KeyboardInterrupt as error:
        if not is_started:
            raise
        raise Interrupted(
            "everything that is complete is saved. Repeat the command with --resume to continue"
        ) from error
    assert found is not None, f"events that raise no error include {kind.__name__}"
    return found
