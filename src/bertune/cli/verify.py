"""`bertune verify`: compare an export with the trained model again, without torch."""

from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, Settings, print_json


def verify(
    export: Annotated[str, typer.Argument(metavar="EXPORT", help="folder written by `bertune export`")],
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Verify that an export is intact and still reproduces the results of the trained model.

    It predicts the rows stored in the export and compares the results with those of the trained model, which
    are stored next to them. The exit code is 5 if a file has changed or a result differs by more than the
    limits of the format.
    """
    from bertune import api
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.console.parity import show_parity
    from bertune.settings import parse_overrides

    refuse_closed_output("the comparison")
    parity = api.verify(Path(export), settings=parse_overrides(settings or []))
    if as_json:
        print_json({"export": export, **parity})
        return
    console = show.messages()
    show_parity(console, show.results(), parity)
    show.echo(console, "verified: the export reproduces the results of the trained model")
