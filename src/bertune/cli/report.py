"""`bertune report`: regenerate the report of a run."""

from typing import Annotated

import typer


def report(run: Annotated[str, typer.Argument(metavar="RUN", help="run folder")]) -> None:
    """Regenerate the report of a run and print its path."""
    from bertune import api

    print(api.report(run))
