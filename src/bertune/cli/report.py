"""`bertune report`: regenerate the report of a run."""

from typing import Annotated

import typer


def report(
    run: Annotated[
        str, typer.Argument(metavar="RUN", help="run folder, or folder of a cross-validation or search")
    ],
) -> None:
    """Regenerate the report of a run, a cross-validation or a search, and print its path."""
    from bertune import api

    print(api.report(run))
