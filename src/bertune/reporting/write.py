"""Owns the report folder of a run: written whole, beside the old one, which it then replaces."""

import shutil
import tempfile
from pathlib import Path

from bertune.reporting.page import render
from bertune.run import Run, disk_errors, write_atomically


def write_report(run: Run) -> Path:
    """Renders what the run folder holds and returns the page, `report/index.html`.

    The figures lie beside it as PNG. An earlier report is replaced as a whole once the new one is complete.
    """
    rendered = render(run)
    folder = run.path / "report"
    with disk_errors(run.path):
        staging = Path(tempfile.mkdtemp(prefix=".report.", dir=run.path))
        try:
            # A text may hold half of a surrogate pair, which no file can.
            write_atomically(staging / "index.html", rendered.html.encode("utf-8", errors="replace"))
            for drawing in rendered.drawings:
                write_atomically(staging / f"{drawing.name}.png", drawing.png)
            staging.chmod(0o755)
            _put_in_place(staging, folder)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return folder / "index.html"


def _put_in_place(staging: Path, folder: Path) -> None:
    """No folder is replaced in one step: the old one steps aside, and returns if the new one cannot move."""
    retired = staging.with_name(f"{staging.name}.old")
    if not folder.exists():
        staging.rename(folder)
        return
    folder.rename(retired)
    try:
        staging.rename(folder)
    except OSError:
        retired.rename(folder)
        raise
    shutil.rmtree(retired, ignore_errors=True)
