"""Passes training events on, and logs them with the trackers of `track.to`."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from bertune.config import Config
from bertune.errors import Interrupted
from bertune.files import remove, remove_if_empty
from bertune.run import MANIFEST, Run
from bertune.tracking import recorded
from bertune.tracking.channel import Channel
from bertune.tracking.identity import FILE, identity, logged, mark_logged
from bertune.tracking.tracker import Group, Results, Status, TrackedRun, make_tracker
from bertune.training.cross_validating import CrossValidated
from bertune.training.events import Evaluated, Finished, Noted, Started, Stepped, Warned

AnyEvent = TypeVar("AnyEvent")
FOLDERS = ("tensorboard", "wandb")  # in a run folder, for the local files of trackers


def follow(
    events: Iterable[AnyEvent], config: Config, folder: Path, report: Callable[[Any], object]
) -> Generator[AnyEvent | Noted | Warned, None, None]:
    """Yield events of a run, of several seeds or of a cross-validation, and log them with trackers.

    `folder` is the one that all of their runs are in, or the run itself. `report` writes the report of the
    finished run or cross-validation, before it is logged. Trackers add a note on where to find the run, and
    at most one warning each. The last event comes when they have logged it, or do not respond. Raises
    ConfigError and MissingPackageError before the first event, for trackers that cannot be used, and the
    errors of `events`.
    """
    with _Following(config, folder) as following:
        for event in events:
            match event:
                case Finished(run) if run.path == folder:  # not that of a fold
                    report(run)
                case CrossValidated(result):
                    report(result)
            if config.track.to:
                following.consume(event)
                yield from following.messages()
            yield event


@dataclass
class _Current:
    """The run that is being logged."""

    path: Path
    last_step: int  # of the first pass, whose numbers do not repeat
    refit_steps: int = 0


class _Following:
    """The trackers, and the run they log."""

    def __init__(self, config: Config, folder: Path) -> None:
        self._config, self._folder = config, folder
        self._current: _Current | None = None
        self._group: Group | None = None  # set by the first run inside the folder
        trackers = {name: make_tracker(name) for name in config.track.to}
        self._channels = [Channel(Path(name).name, tracker) for name, tracker in trackers.items()]

    def __enter__(self) -> "_Following":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_stop = isinstance(error, Interrupted | GeneratorExit | KeyboardInterrupt)
        self._finish(Results(), "interrupted" if is_stop else "failed")
        for channel in self._channels:
            channel.close()

    def messages(self) -> Iterator[Noted | Warned]:
        """The notes and warnings of the trackers since the last call."""
        for channel in self._channels:
            for is_warning, text in channel.messages():
                yield Warned(text) if is_warning else Noted(text)

    def consume(self, event: object) -> None:
        """Log an event."""
        match event:
            case Started(run, manifest, resumed_at):
                self._complete()  # the previous seed
                self._start(run.path, manifest, resumed_at)
            case Stepped(step, _):
                self._log_step(step)
            case Evaluated(line):
                for channel in self._channels:
                    channel.log(recorded.evaluation_row(line))
            case Finished(run):
                if self._current is None and self._group is None:
                    self._repeat(run)
                self._complete()
                if self._group is not None and run.path == self._folder:
                    self._summarize(run.manifest, recorded.results_of(run, 0, self._config.track.artifacts))
            case CrossValidated(result):
                if self._group is not None:
                    artifacts = self._config.track.artifacts
                    self._summarize({}, recorded.results_of_folds(result, artifacts))

    def _start(self, path: Path, manifest: Mapping[str, Any], resumed_at: int) -> None:
        name = self._config.track.name or self._folder.name
        if path != self._folder:
            self._group = Group(identity(self._folder), name)
            name = f"{name}-{path.name}"
        self._current = _Current(path, resumed_at)
        run = TrackedRun(
            identity(path),
            name,
            self._config.track.project,
            path,
            recorded.settings_of(Run(path).config),
            recorded.facts_of(manifest),
            resumed_at,
            self._group,
        )
        done = logged(path)
        for channel in self._channels:
            if not resumed_at or channel.name in done:
                channel.start(run)
                continue
            # New for this run, or it failed before.
            channel.start(replace(run, resumed_at=0))
            for row in recorded.rows_of(Run(path), resumed_at):
                channel.log(row)

    def _repeat(self, run: Run) -> None:
        """Log a complete run with the trackers that have not completed it."""
        done = logged(run.path)
        self._channels = [one for one in self._channels if done.get(one.name) != "complete"]
        if self._channels:
            self._start(run.path, run.manifest, (run.manifest.get("training") or {}).get("steps_done") or 0)

    def _log_step(self, step: Any) -> None:
        current = self._current
        assert current is not None, "Started comes before the first step"
        if step.number > current.last_step and not current.refit_steps:
            current.last_step = step.number
            row = recorded.step_row(step, "train", step.number)
        else:  # a refit, which counts from 1 again
            current.refit_steps = step.number
            row = recorded.step_row(step, "refit", current.last_step + step.number)
        for channel in self._channels:
            channel.log(row)

    def _complete(self) -> None:
        """Close the current run with its results."""
        if self._current is not None:
            last = self._current.last_step + self._current.refit_steps
            artifacts = self._config.track.artifacts if self._group is None else ()
            self._finish(recorded.results_of(Run(self._current.path), last, artifacts), "complete")

    def _finish(self, results: Results, status: Status) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        done = [channel.name for channel in self._channels if channel.finish(results, status)]
        if not (current.path / MANIFEST).exists():  # training discarded a run without checkpoints
            _discard(current.path)
        elif done:
            mark_logged(current.path, done, status)

    def _summarize(self, manifest: Mapping[str, Any], results: Results) -> None:
        """Log the results of a group as a separate run."""
        assert self._group is not None
        run = TrackedRun(
            self._group.id,
            self._group.name,
            self._config.track.project,
            self._folder,
            recorded.settings_of(self._config),
            recorded.facts_of(manifest),
            group=self._group,
            is_summary=True,
        )
        for channel in self._channels:
            channel.start(run)
            channel.finish(results, "complete")


def _discard(path: Path) -> None:
    """Remove what trackers wrote into a run folder that no longer holds a run."""
    for name in (FILE, *FOLDERS):
        remove(path / name)
    remove_if_empty(path)
