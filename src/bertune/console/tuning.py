"""Progress and results of a search: one line per trial, a table of trials, and the conclusions."""

import contextlib
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bertune.console import show
from bertune.console.steps_bar import steps_bar
from bertune.search.events import SearchEvent, SearchReady, TrialFinished, TrialStarted, Tuned, WinnerStarted
from bertune.training.events import Noted, Stepped, Warned, final
from bertune.tuning import TrialRecord, Tuning, TuningRecord

_MOST_ROWS = 20  # trials shown in the terminal; the report shows all
_WIDTH = 100  # characters of a line of prose
_STAGES = {"trial": "trial", "proxy": "trial", "target": "finalist"}


def watch(events: Iterable[SearchEvent], console: Console) -> Tuning:
    """Show the events of a search until it ends, and return it."""
    shown = _Shown()
    progress = steps_bar(console)
    bar = progress.add_task("", total=1)

    def show_event(event: SearchEvent) -> None:
        with contextlib.suppress(OSError):  # the terminal or pipe is closed: continue without output
            _show(event, console, progress, bar, shown)

    with progress:
        return final(events, Tuned, show_event).result


@dataclass
class _Shown:
    """Messages that are not shown again: the notes of trials, and warnings that an earlier run has raised."""

    is_in_trial: bool = False
    warnings: set[str] = field(default_factory=set)


def _show(event: SearchEvent, console: Console, progress: Progress, bar: Any, shown: _Shown) -> None:
    match event:
        case SearchReady(name, prepared, total, scored_on, notes):
            show.data_summary(console, prepared.notes, prepared.audit)
            show.audit_lines(console, prepared.findings, prepared.warnings)
            shown.warnings.update(prepared.warnings)
            for note in notes:
                show.echo(console, note, "dim")
            trials = "1 trial" if total == 1 else f"{total:,} trials"
            show.echo(console, f"\n{name}: {trials}, scored on {scored_on}\n")
        case TrialStarted(position, total, stage, params, was_started):
            what = f"{_STAGES[stage]} {position} of {total}"
            progress.update(bar, description=what, completed=0)
            shown.is_in_trial = True
            if was_started:
                show.echo(console, f"continuing {what}: {settings_text(params)}", "dim")
        case TrialFinished():
            shown.is_in_trial = False
            show.echo(console, _trial_line(event))
        case WinnerStarted(params, value, metric):
            show.echo(
                console,
                f"\nbest: {metric} {show.number(value)} with {settings_text(params)}\n"
                "training these settings as an ordinary run",
            )
            progress.update(bar, description="best settings", completed=0)
        case Stepped(step, total):
            progress.update(bar, completed=step.number, total=total)
        case Noted(text) if not shown.is_in_trial:
            show.echo(console, text, "dim")
        case Warned(text) if text not in shown.warnings:
            shown.warnings.add(text)
            show.warn(console, text)
        case _:
            pass


def settings_text(params: Mapping[str, Any]) -> str:
    """Settings as written on the command line."""
    return "  ".join(f"{key}={_value(value)}" for key, value in params.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _trial_line(event: TrialFinished) -> str:
    trial = event.trial
    note = "  best so far" if event.is_best else ""
    return (
        f"{event.num_done:>3}/{event.total}  {trial.stage}-{trial.number:<3} "
        f"{event.metric} {_outcome(trial):<9}  {settings_text(trial.params or {})}"
        f"  ({trial.seconds or 0:,.0f} s){note}"
    )


def _outcome(trial: TrialRecord) -> str:
    return show.number(trial.value) if trial.outcome == "complete" else f"({trial.outcome})"


def trial_table(record: TuningRecord) -> Table:
    """The best trials of the final stage, best first, with their settings."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    keys = [one.setting for one in record.space or []]
    for head in ("trial", record.metric or "score", *keys, "seconds"):
        table.add_column(head, justify="left" if head == "trial" else "right")
    sign = 1 if record.lower_is_better else -1
    stage = "target" if record.proxy else "trial"
    trials = [trial for trial in record.trials or [] if trial.stage == stage]
    trials.sort(key=lambda trial: (trial.value is None, sign * (trial.value or 0.0), trial.number))
    for trial in trials[:_MOST_ROWS]:
        values = [_value((trial.params or {}).get(key)) for key in keys]
        name = f"{trial.stage}-{trial.number}" + (" (defaults)" if trial.is_default else "")
        table.add_row(name, _outcome(trial), *values, f"{trial.seconds or 0:,.1f}")
    return table


def conclusions(record: TuningRecord) -> str:
    """The conclusions of a search, one paragraph each."""
    return "\n".join(
        textwrap.fill(f"{title}: {text}", _WIDTH) for title, text in (record.sentences or {}).items()
    )
