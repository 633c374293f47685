"""Writes the report folder of a run. Existing report files are replaced atomically; other files are kept."""

from pathlib import Path

from bertune.files import disk_errors, write_atomically
from bertune.reporting.page import Rendered, render
from bertune.reporting.png import png
from bertune.run import Run
from bertune.run_writer import refuse_links


def write_report(run: Run) -> Path:
    """Renders the report of a run and returns the path of the page, `report/index.html`.

    The figures are saved next to it as PNG files. The page is written last, so that every figure it names
    exists. Raises InputError if the run is damaged or the folder cannot be written.
    """
    return write_page(run.path, render(run))


def write_page(path: Path, rendered: Rendered) -> Path:
    """Writes a page and its figures to the folder `report` in `path`, and returns the path of the page."""
    refuse_links(path)
    folder = path / "report"
    with disk_errors(path):
        folder.mkdir(exist_ok=True)
        for drawing in rendered.drawings:
            write_atomically(folder / f"{drawing.name}.png", png(drawing.scene))
        # A text may contain an unpaired surrogate, which UTF-8 cannot encode.
        write_atomically(folder / "index.html", rendered.html.encode("utf-8", errors="replace"))
    return folder / "index.html"
