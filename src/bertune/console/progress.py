"""Training progress: a progress bar and one line per evaluation."""

import contextlib
import time
from collections import deque
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bertune.console import show
from bertune.errors import counted
from bertune.files import shown_path
from bertune.run import Run
from bertune.training.events import (
    DataReady,
    Evaluated,
    Event,
    Finished,
    Noted,
    Started,
    Stepped,
    Warned,
    final,
)

_RECENT_STEPS = 50  # examples/s and the training loss are averaged over this many steps
_COLUMNS = ("step", "epoch", "train loss", "val loss", "seconds")
_SHOWN_SCORES = 3
_QUIET_SECONDS = 30  # interval of progress lines if stderr is not a terminal


class TrainingView:
    """Shows training events on a console; use as a context manager."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._recent: deque[tuple[float, int, float]] = deque(maxlen=_RECENT_STEPS)
        self._has_header = False
        self._scores: tuple[str, ...] = ()
        self._last_line = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TextColumn("{task.fields[state]}"),
            TimeRemainingColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._bar: Any = None

    def __enter__(self) -> "TrainingView":
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._progress.stop()

    def show(self, event: Event) -> None:
        """Show one event. If the terminal or pipe is closed, training continues without output."""
        try:
            self._show(event)
        except OSError:
            return

    def _show(self, event: Event) -> None:
        match event:
            case DataReady(prepared):
                scores = prepared.encoder.fitted.task.scores
                self._scores = tuple(n for n in scores if n not in prepared.undefined)[:_SHOWN_SCORES]
                show.data_summary(self._console, prepared.notes, prepared.audit)
                show.audit_lines(self._console, prepared.findings, prepared.warnings)
            case Started(run, manifest, resumed_at):
                self._started(shown_path(run.path), manifest, resumed_at)
            case Stepped(step, total):
                self._recent.append((step.seconds, step.examples, step.loss))
                self._stepped(step.number, step.lr, total)
            case Evaluated(line):
                self._evaluated(line)
            case Noted(text):
                self._line(text)
            case Warned(text):
                show.warn(self._console, text)
            case Finished():
                pass

    def _started(self, path: str, manifest: dict[str, Any], resumed_at: int) -> None:
        model, plan, machine = manifest["model"], manifest["training"], manifest["machine"]
        name = shown_path(model["name"])
        trained = sum(b["parameters"] for b in model["blocks"] if b["trained"])
        if model["weights"] == "random":
            show.warn(
                self._console,
                f"{name} has no weights: the encoder is randomly initialized and trained from "
                "scratch on this data",
            )
        show.echo(
            self._console,
            f"\n{model['class']} from {name}: {model['parameters']:,} parameters, "
            f"{trained:,} trainable; {machine['device']}, {machine['precision']}",
        )
        begin = f"resuming after step {resumed_at:,} of" if resumed_at else "training"
        show.echo(self._console, f"{begin} {counted(plan['total_steps'], 'step')} into {path}\n")
        self._bar = self._progress.add_task(
            "training", total=plan["total_steps"], completed=resumed_at, state=""
        )

    def _stepped(self, number: int, lr: float, total: int) -> None:
        seconds = sum(s for s, _, _ in self._recent)
        rate = sum(n for _, n, _ in self._recent) / max(seconds, 1e-9)
        loss = sum(loss for _, _, loss in self._recent) / len(self._recent)
        state = f"loss {loss:.4f}  lr {lr:.1e}  {rate:,.0f} examples/s"
        if self._bar is not None:  # None if drawing it failed
            self._progress.update(self._bar, completed=number, state=state)
        if not self._console.is_terminal and time.monotonic() - self._last_line > _QUIET_SECONDS:
            left = seconds / len(self._recent) * (total - number)
            self._line(f"step {number:,}/{total:,}  {state}  {left / 60:.1f} min left")

    def _evaluated(self, line: dict[str, Any]) -> None:
        chosen = [name for name in self._scores if name in line]
        heads = (*_COLUMNS[:4], *chosen, _COLUMNS[4])
        widths = [max(11, len(head) + 2) for head in heads]
        if not self._has_header:
            self._has_header = True
            self._line("".join(f"{head:>{width}}" for head, width in zip(heads, widths, strict=True)))
        values = [
            f"{line['step']:,}",
            f"{line['epoch']:g}",
            f"{line['train_loss']:.4f}",
            "" if line["loss"] is None else f"{line['loss']:.4f}",
            *(show.number(line[name]) for name in chosen),
            f"{line['seconds']:.1f}",
        ]
        note = "  best so far" if line["is_best"] else ""
        cells = (f"{value:>{width}}" for value, width in zip(values, widths, strict=True))
        self._line("".join(cells) + note)

    def _line(self, text: str) -> None:
        self._last_line = time.monotonic()
        show.echo(self._console, text)


def watch(events: Iterable[Event], console: Console) -> Run:
    """Show training events until training ends, and return the run."""
    with TrainingView(console) as view:
        return final(events, Finished, view.show).run


def result_line(manifest: dict[str, Any]) -> str:
    """The selected checkpoint of a finished run, its validation score and the training time.

    The line has an empty line before and after it.
    """
    training, timings = manifest["training"], manifest["timings"]
    best = training["best"]
    kind, early = "best checkpoint", "; stopped early" if training["stopped_early"] else ""
    reason = f"validation {best['score']} {show.number(best['value'])}"
    if best.get("top_step") not in (None, best["step"]):
        kind, top = "selected checkpoint", f"{show.number(best['top_value'])} at step {best['top_step']:,}"
        if best["top_value"] == best["value"]:
            reason += f"; the same as at step {best['top_step']:,}"
        else:
            reason += f"; the best value, {top}, is within the noise"
    if best["value"] is None:
        kind, reason = "last checkpoint", f"{best['score']} was undefined in every evaluation"
    return (
        f"\n{kind}: step {best['step']:,} of {training['total_steps']:,} ({reason}{early}); "
        f"{timings['train_examples_per_second']:,.0f} examples/s, {timings['total_seconds']:,.0f} s total\n"
    )
