"""Writes the report folder of a run: each file takes the place of its predecessor, other files stay."""

from pathlib import Path

from bertune.files import disk_errors, write_atomically
from bertune.reporting.page import render
from bertune.run import Run
from bertune.run_writer import refuse_links


def write_report(run: Run) -> Path:
    """Renders what the run folder holds and returns the page, `report/index.html`.

    The figures lie beside it as PNG. The page comes last, so it is never newer than its figures. Raises
    InputError where the run is damaged or the folder cannot be written.
    """
    refuse_links(run.path)
    rendered = render(run)
    folder = run.path / "report"
    with disk_errors(run.path):
        folder.mkdir(exist_ok=True)
        for drawing in rendered.drawings:
            write_atomically(folder / f"{drawing.name}.png", drawing.png)
        # A text may hold half of a surrogate pair, which no file can.
        write_atomically(folder / "index.html", rendered.html.encode("utf-8", errors="replace"))
    return folder / "index.html"
