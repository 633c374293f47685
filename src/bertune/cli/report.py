"""`bertune report`: the page of a run, written again."""

from typing import Annotated

import typer


def report(run: Annotated[str, typer.Argument(metavar="RUN", help="a run folder")]) -> None:
    """Write the report of a run again and print where it is."""
    from bertune import api

    print(api.report(run))
