"""Owns the public functions: they return values, raise BertuneError, and print nothing."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bertune.apply import Evaluation, Model, load_model
from bertune.config import nested
from bertune.errors import ConfigError, DamagedError
from bertune.metadata import read_metadata
from bertune.prepare import Prepared, prepare
from bertune.reporting import write_report
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
from bertune.training.fit import fit
from bertune.training.recovery import recover

Overrides = Mapping[str, Any] | None


def train(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    overrides: Overrides = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Run:
    """Fine-tunes a model and returns its run, with scores, predictions and a report in its folder.

    `source` is a data file, a named data set, a settings file, a table (pandas, Arrow, Hugging Face
    dataset, list of dicts), a list of texts or of tuples of texts beside their `labels`, or a dict of such
    by split, where (texts, labels) is a list with labels. `overrides` are settings by key, as
    {"train.epochs": 3}. Raises InputError, RunExistsError, RunBusyError, ResourceError, DivergedError,
    Interrupted; until training begins nothing is written.
    """
    run = None
    for event in training(source, labels, overrides=overrides, out=out, resume=resume):
        if isinstance(event, Finished):
            run = event.run
    assert run is not None, "a training that raises nothing ends with Finished"
    return run


def training(
    source: object,
    labels: Sequence[object] | None = None,
    *,
    overrides: Overrides = None,
    out: str | Path | None = None,
    resume: bool = False,
) -> Iterator[Event]:
    """What `train` does, as a generator of events for a caller that shows them."""
    given = _run_folder(source, out, resume)
    restored = recover(given) if resume and given is not None else []
    resolved = resolve_source(source, overrides, labels)
    folder = Path(os.path.abspath(given or Path("runs") / resolved.name))
    if resume and given is None:
        restored = recover(folder)
    yield from (Warned(text) for text in restored)
    for event in fit(resolved, folder, resume):
        if isinstance(event, Finished):
            write_report(event.run)
        yield event


def check(source: object, labels: Sequence[object] | None = None, *, overrides: Overrides = None) -> Prepared:
    """Everything training would find out before it starts; nothing is written. Raises InputError."""
    return prepare(resolve_source(source, overrides, labels))


def load(source: Run | str | Path, *, overrides: Overrides = None) -> Model:
    """A trained model from a run, a run folder, or a model folder somebody sent. Raises InputError."""
    return load_model(source, nested(overrides))


def evaluate(source: Run | Model | str | Path, data: object, *, overrides: Overrides = None) -> Evaluation:
    """Scores of a trained model on a labelled file, named data set or table, or on (texts, labels). Raises
    InputError."""
    model = _model(source, overrides)
    table, columns, _ = model.open(data, need_label=True)
    return model.evaluate(table, columns)


def predict(
    source: Run | Model | str | Path, data: Iterable[Any] | str | Path, *, overrides: Overrides = None
) -> list[Any]:
    """Predictions in order for a list of texts, or of tuples of texts, or for every row of a file, named data
    set or table; None for a row without text. Raises InputError."""
    model = _model(source, overrides)
    source_of_rows: object = data
    if (
        not isinstance(data, str | Path)
        and not hasattr(data, "columns")
        and not hasattr(data, "column_names")
    ):
        source_of_rows = items = list(data)
        if not items or not isinstance(items[0], Mapping):
            return model.predict(items)
    table, columns, _ = model.open(source_of_rows, need_label=False)
    return [prediction for _, prediction in model.stream(table, columns)]


def report(run: Run | str | Path) -> Path:
    """Writes the report of a run again and returns the path of its page.

    Raises InputError, also where a finished run is not as training left it.
    """
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
    overrides: Overrides = None,
    rounds: int = 3,
    seconds: float = 5.0,
    tell: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """How fast bertune and its peers train and predict on a source, as plain JSON; nothing is written.

    Every round runs each side in a process of its own and times at least `seconds`; `tell` gets a line of
    progress for each. Raises InputError, BertuneError.
    """
    from bertune.bench.compare import compare

    resolved = resolve_source(source, overrides)
    return compare(resolved, rounds, seconds, tell)


def _run_folder(source: object, out: str | Path | None, resume: bool) -> Path | None:
    """The folder asked for: `out`, or the run folder that is itself given as the source of a resumed run."""
    if not (isinstance(source, str | Path) and is_run(Path(source))):
        if out is None and resume and isinstance(source, str | Path):
            _refuse_remains(Path(source))
        return None if out is None else Path(out)
    if not resume and out is None:
        raise ConfigError(
            f"{source} is a run: continue it with --resume, or repeat it in another folder with --out"
        )
    return Path(source) if out is None else Path(out)


def _refuse_remains(folder: Path) -> None:
    """Raises DamagedError for a run without manifest and checkpoints: it is not a settings file."""
    if os.path.isfile(folder / CONFIG):
        raise DamagedError(
            f"{folder / MANIFEST} is missing, and no checkpoint has a copy. {start_again(folder)}"
        )


def _model(source: Run | Model | str | Path, overrides: Overrides) -> Model:
    if not isinstance(source, Model):
        return load(source, overrides=overrides)
    if overrides:
        raise ConfigError("this model is loaded already: give the overrides to bertune.load")
    return source
