"""Public functions that compare runs, write their reports, and compare bertune with other libraries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertune.api.training import Settings
from bertune.cross_validation import CrossValidation
from bertune.errors import ConfigError
from bertune.files import as_path
from bertune.optional_packages import needs, require
from bertune.run import Run
from bertune.tuning import Tuning

if TYPE_CHECKING:
    from bertune.comparing import Comparison


def report(*runs: Run | CrossValidation | Tuning | str | Path, out: str | Path | None = None) -> Path:
    """Regenerate the report of a run, a cross-validation or a search, or compare several runs on one page.

    Returns the path of the page. `out` is a new .html file for a comparison; by default it is
    report/comparison.html in the folder of the first run. Raises ConfigError, DataError if the test rows of
    the runs differ, and InputError, also if files of a finished run were modified.
    """
    with needs("jinja2", "to write a report"):
        from bertune.api.reports import write_comparison_of, write_report_of

    kinds = (Run, CrossValidation, Tuning)
    paths = [run.path if isinstance(run, kinds) else as_path(run, "the run") for run in runs]
    if len(paths) > 1:
        return write_comparison_of(paths, None if out is None else as_path(out, "out"))
    if not paths or out is not None:
        raise ConfigError(
            "report takes one run, or several runs to compare. A path for the page requires several runs"
        )
    return write_report_of(paths[0])


def compare(
    runs: Sequence[Run | str | Path], *, out: str | Path | None = None, score: str | None = None
) -> Comparison:
    """Compare finished runs with the first of them on the same test rows: see `bertune.comparing`.

    `out` is a new file for the rows that changed, with the suffix .jsonl or .csv. `score` is the score to
    test first, instead of the primary score of the first run. Raises ConfigError, and DataError if the test
    rows differ.
    """
    from bertune.comparing import compare_runs, refuse_changed_file, write_changed

    target = None if out is None else as_path(out, "out")
    if target is not None:
        refuse_changed_file(target)
    paths = [run.path if isinstance(run, Run) else as_path(run, "the run") for run in runs]
    found = compare_runs(paths, score)
    if target is not None:
        write_changed(found, target)
    return found


def bench(
    source: object,
    *,
    settings: Settings = None,
    rounds: int = 3,
    seconds: float = 5.0,
    on_progress: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Compare the training and prediction speed of bertune and other libraries; return it as plain JSON.

    Nothing is written. Every round runs each library in its own process for at least `seconds` seconds;
    `on_progress` is called with one line per measurement. Raises InputError, BertuneError.
    """
    packages = ("torch", "transformers", "accelerate")
    require("bench", "to compare bertune with other libraries", packages)
    from bertune.bench.compare import compare
    from bertune.source import resolve_source

    resolved = resolve_source(source, settings)
    return compare(resolved, rounds, seconds, on_progress)
