"""The public functions: they return values, raise BertuneError, and print nothing unless asked."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertune.config import nested
from bertune.errors import ConfigError, DamagedError
from bertune.files import as_path
from bertune.metadata import read_metadata
from bertune.predict.loading import load_model
from bertune.predict.model import Evaluation, Model
from bertune.run import (
    CONFIG,
    MANIFEST,
    Run,
    is_run,
    open_run,
    refuse_older_manifest,
    start_again,
    verify,
)
from bertune.source import resolve_source
from bertune.training.events import Event, Finished, Warned

if TYPE_CHECKING:
    from bertune.training.preparing import Prepared

Settings = Mapping[str, Any] | None


def train(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    resume: bool = False,
    progress: bool = False,
) -> Run:
    """Fine-tunes a model and returns its run, with scores, predictions and a report in its folder.

    `source` is a data file, a named data set, a settings file, a table (pandas, Arrow, Hugging Face
    dataset, list of dicts), a list of texts or of tuples of texts beside their `labels`, or a dict of such
    by split, where (texts, labels) is a list with labels. `settings` are given by key, as
    {"train.epochs": 3}. With `progress`, stderr shows what `bertune train` shows, and the scores; otherwise
    nothing is printed. Raises InputError, RunExistsError, RunBusyError, ResourceError, DivergedError,
    Interrupted; until training begins nothing is written.
    """
    events = train_events(source, labels, settings=settings, out=out, resume=resume)
    if progress:
        from bertune.console import show
        from bertune.console.progress import kept_line, watch

        console = show.messages()
        shown = watch(events, console)
        show.echo(console, kept_line(shown.manifest))
        console.print(show.score_table(shown.manifest["scores"]))
        return shown
    run = next((event.run for event in events if isinstance(event, Finished)), None)
    assert run is not None, "a training that raises nothing ends with Finished"
    return run


def train_events(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    settings: Settings = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Generator[Event, None, None]:
    """Does what `train` does, as a generator: it trains as far as events are taken from it.

    The events, in this order: `Warned` for each file that a resumed run had to restore; `DataReady` once the
    data is read, checked and encoded; `Started` once the run folder exists; `Stepped` after every optimizer
    step and `Evaluated` after every validation, with `Noted` and `Warned` between them; last `Finished`,
    whose `run` is what `train` returns. All are frozen dataclasses and names of `bertune`, to use in `match`.
    A run that is already complete gives `Finished` alone. Closing the generator early leaves the checkpoints
    saved so far.
    """
    from bertune.reporting.write import write_report
    from bertune.training.fit import train_source
    from bertune.training.recovery import recover

    given = _run_folder(source, out, resume)
    restored = recover(given) if resume and given is not None else []
    resolved = resolve_source(source, settings, labels)
    folder = Path(os.path.abspath(given or Path("runs") / resolved.name))
    if resume and given is None:
        restored = recover(folder)
    yield from (Warned(text) for text in restored)
    for event in train_source(resolved, folder, resume):
        if isinstance(event, Finished):
            write_report(event.run)
        yield event


def check(source: object, labels: Sequence[object] | None = None, *, settings: Settings = None) -> Prepared:
    """Everything training would find out before it starts; nothing is written. Raises InputError."""
    from bertune.training.preparing import prepare

    return prepare(resolve_source(source, settings, labels))


def load(source: Run | str | Path, *, settings: Settings = None) -> Model:
    """A trained model from a run, a run folder, or a model folder somebody sent. Raises InputError."""
    return load_model(source, nested(settings))


def evaluate(source: Run | Model | str | Path, data: object, *, settings: Settings = None) -> Evaluation:
    """Scores of a trained model on a labelled file, named data set or table, or on (texts, labels). Raises
    InputError."""
    return _model(source, settings).evaluate(data)


def predict(
    source: Run | Model | str | Path, data: Iterable[Any] | str | Path, *, settings: Settings = None
) -> list[Any]:
    """Predictions in order for a list of texts, or of tuples of texts, or for every row of a file, named data
    set or table; None for a row without text. Raises InputError."""
    return _model(source, settings).predict(Path(data) if isinstance(data, str) else data)


def report(run: Run | str | Path) -> Path:
    """Writes the report of a run again and returns the path of its page.

    Raises InputError, also where a finished run is not as training left it.
    """
    from bertune.reporting.write import write_report

    found = open_run(run.path if isinstance(run, Run) else run)
    refuse_older_manifest(found)
    if found.manifest.get("status") == "complete":
        verify(found)
        if found.model_path.is_dir():  # a report does not need it
            read_metadata(found.model_path)
    return write_report(found)


def bench(
    source: object,
    *,
    settings: Settings = None,
    rounds: int = 3,
    seconds: float = 5.0,
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """How fast bertune and its peers train and predict on a source, as plain JSON; nothing is written.

    Every round runs each side in its own process for at least `seconds`; `on_progress` gets a line for
    each. Raises InputError, BertuneError.
    """
    from bertune.bench.compare import compare

    resolved = resolve_source(source, settings)
    return compare(resolved, rounds, seconds, on_progress)


def _run_folder(source: object, out: str | Path | None, resume: bool) -> Path | None:
    """The folder asked for: `out`, or the run folder that is itself given as the source of a resumed run."""
    if not (isinstance(source, str | Path) and is_run(Path(source))):
        if out is None and resume and isinstance(source, str | Path):
            _refuse_remains(Path(source))
        return None if out is None else as_path(out, "out")
    if not resume and out is None:
        raise ConfigError(
            f"{source} is a run: continue it with --resume, or repeat it in another folder with --out"
        )
    return Path(source) if out is None else as_path(out, "out")


def _refuse_remains(folder: Path) -> None:
    """Raises DamagedError for a run without manifest and checkpoints: it is not a settings file."""
    if os.path.isfile(folder / CONFIG):
        raise DamagedError(
            f"{folder / MANIFEST} is missing, and no checkpoint has a copy. {start_again(folder)}"
        )


def _model(source: Run | Model | str | Path, settings: Settings) -> Model:
    if not isinstance(source, Model):
        return load(source, settings=settings)
    if settings:
        raise ConfigError("this model is already loaded: pass settings= to bertune.load instead")
    return source
