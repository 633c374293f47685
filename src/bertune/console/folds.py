"""Progress and results of a cross-validation: one line per fold, and a table of scores."""

import contextlib
from collections.abc import Iterable

from rich import box
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bertune.console import show
from bertune.console.steps_bar import steps_bar
from bertune.cross_validation import CrossValidation, CrossValidationRecord
from bertune.errors import counted
from bertune.run import Run
from bertune.training.cross_validating import (
    CrossValidated,
    CrossValidationEvent,
    FoldFinished,
    FoldsReady,
    FoldStarted,
)
from bertune.training.events import Noted, Stepped, Warned, final


def watch(events: Iterable[CrossValidationEvent], console: Console) -> CrossValidation:
    """Show the events of a cross-validation until it ends, and return it."""
    progress = steps_bar(console)
    bar = progress.add_task("", total=1)

    def show_event(event: CrossValidationEvent) -> None:
        with contextlib.suppress(OSError):  # the terminal or pipe is closed: continue without output
            _show(event, console, progress, bar)

    with progress:
        return final(events, CrossValidated, show_event).result


def _show(event: CrossValidationEvent, console: Console, progress: Progress, bar: object) -> None:
    match event:
        case FoldsReady(folds, name):
            for note in (*folds.tables.notes, *folds.notes):
                show.echo(console, note, "dim")
            for text in folds.warnings:
                show.warn(console, text)
            show.echo(console, f"\n{name}: {counted(len(folds.numbers()), 'run')}\n")
        case FoldStarted(number, total, _):
            progress.update(bar, description=f"run {number} of {total}", completed=0)  # type: ignore[arg-type]
        case Stepped(step, total):
            progress.update(bar, completed=step.number, total=total)  # type: ignore[arg-type]
        case FoldFinished(number, total, run, was_trained):
            show.echo(console, _fold_line(number, total, run, was_trained))
        case Noted(text):
            show.echo(console, text)
        case Warned(text):
            show.warn(console, text)
        case _:
            pass


def _fold_line(number: int, total: int, run: Run, was_trained: bool) -> str:
    """The number of a run, its score on the fold, the best step and the time."""
    manifest = run.manifest
    primary, training = manifest["primary"], manifest["training"]
    value = show.number(manifest["scores"]["test"].get(primary))
    rows = manifest["data"]["splits"]
    sizes = f"{rows['train']['rows']:,} trained on, {rows['test']['rows']:,} held out"
    line = (
        f"{number:>3}/{total}  {run.path.name:<18} {primary} {value}  ({sizes}; best step "
        f"{training['best']['step']:,} of {training['total_steps']:,}; "
    )
    seconds = manifest["timings"]["total_seconds"]
    return line + (f"{seconds:,.0f} s)" if was_trained else "complete)")


def summary_table(record: CrossValidationRecord) -> Table:
    """Mean, standard deviation and range over the folds, and the pooled score, of each score."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column(f"score ({len(record.runs)} folds)" if record.runs else "score")
    for head in ("mean", "std", "min", "max", "pooled"):
        table.add_column(head, justify="right")
    scores = record.scores or {}
    for name in sorted(scores, key=lambda name: name != record.primary):
        one = scores[name]
        if one.mean is not None or one.pooled is not None:
            values = (one.mean, one.deviation, one.low, one.high, one.pooled)
            table.add_row(name, *(show.number(value) for value in values))
    return table
