"""`bertune report`: regenerate the report of a run, or compare several runs on one page."""

from pathlib import Path
from typing import Annotated

import typer


def report(
    runs: Annotated[
        list[str],
        typer.Argument(
            metavar="RUN",
            help="run folder, or folder of a cross-validation or search; several runs are compared with "
            "the first",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="new .html file of a comparison; default: report/comparison.html in the first run",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Regenerate the report of a run, a cross-validation or a search, or compare runs; print its path.

    \b
    bertune report runs/base
    bertune report runs/base runs/large
    """
    from bertune import api

    print(api.report(*runs, out=out))
