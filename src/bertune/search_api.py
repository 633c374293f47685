"""The public function of the hyperparameter search, as in `bertune.api`."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bertune.api import Settings
from bertune.gates import refuse_failed
from bertune.optional_packages import require
from bertune.tuning import Tuning, is_tuning

if TYPE_CHECKING:
    from bertune.search.events import SearchEvent
    from bertune.source import Request


def tune(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Tuning:
    """Search for the best settings, train them as a run, and return the search.

    The search compares settings on the validation split or on folds (`tune.folds`) and never uses the test
    split; the run of the best settings is scored on it once. The default space is the grid of the BERT
    paper. Nothing is written before the first trial begins.

    Args:
        source: as in `train`.
        labels: as in `train`.
        settings: settings by key, such as {"tune.space.train.lr": "1e-5..1e-4", "tune.trials": 30}.
        out: the folder; None for runs/NAME-tune.
        resume: continue an existing search, or join other processes that work on it.
        progress: print the progress and the conclusions to stderr, as `bertune tune` does.

    Raises:
        InputError, RunExistsError, ResourceError, Interrupted, MissingPackageError.
        GateError: a final score of the best settings misses its limit (gate.SCORE); the search is complete.
    """
    from bertune.source import Request

    events = tune_events(Request(source, labels, settings, out, resume))
    if progress:
        from bertune.console import show, tuning

        console = show.messages()
        result = tuning.watch(events, console)
        console.print(tuning.trial_table(result.record))
        show.echo(console, f"\n{tuning.conclusions(result.record)}")
    else:
        from bertune.search.events import Tuned
        from bertune.training.events import final

        result = final(events, Tuned).result
    refuse_failed(result.best.manifest.get("gates"), str(result.best.path))
    return result


def tune_events(request: Request) -> Generator[SearchEvent, None, None]:
    """Search like `tune`, as a generator of events, including those of every run."""
    require("train", "to search for settings")
    require("tune", "to search for settings")
    return _events(request)


def _events(request: Request) -> Generator[SearchEvent, None, None]:
    from bertune.reporting.tuning import write_tuning_report
    from bertune.reporting.write import write_report
    from bertune.search.events import Tuned
    from bertune.search.searching import search

    resolved, folder = request.resolved("tune", is_tuning)
    for event in search(resolved, folder, request.resume):
        if isinstance(event, Tuned):
            write_report(event.result.best)
            write_tuning_report(event.result)
        yield event
