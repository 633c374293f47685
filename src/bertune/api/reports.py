"""Write the report of a run, a cross-validation or a search, or the page that compares several runs."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from bertune.comparing import compare_runs
from bertune.cross_validation import is_cross_validation, open_cross_validation
from bertune.errors import ConfigError
from bertune.files import refuse_unusable, shown_path
from bertune.metadata import read_metadata
from bertune.reporting.comparison import write_comparison
from bertune.reporting.cross_validation import write_cross_validation_report
from bertune.reporting.tuning import write_tuning_report
from bertune.reporting.write import write_report
from bertune.run import open_run, refuse_older_manifest, verify
from bertune.tuning import is_tuning, open_tuning


def write_report_of(path: Path) -> Path:
    """Regenerate the report of a run, a cross-validation or a search and return the path of the page.

    Raises InputError, also if files of a finished run were modified.
    """
    if is_tuning(path):
        return write_tuning_report(open_tuning(path))
    if is_cross_validation(path):
        return write_cross_validation_report(open_cross_validation(path))
    found = open_run(path)
    refuse_older_manifest(found)
    if found.manifest.get("status") == "complete":
        verify(found)
        if found.model_path.is_dir():  # the model is optional for a report
            read_metadata(found.model_path)
    return write_report(found)


def write_comparison_of(paths: Sequence[Path], out: Path | None) -> Path:
    """Write the page that compares runs to the new file `out`, or to the report folder of the first run.

    Raises ConfigError, DataError if the test rows of the runs differ, InputError.
    """
    if out is not None:
        refuse_unusable(out, "--out")
        if out.suffix != ".html":
            raise ConfigError(
                f"{shown_path(out)}: a comparison is written as an .html file. Use another --out"
            )
        if out.exists():
            raise ConfigError(f"{shown_path(out)} already exists. Nothing was changed. Use another --out")
    found = compare_runs(paths)
    return write_comparison([open_run(path) for path in paths], asdict(found), out)
