"""Arguments that several subcommands share."""

from typing import Annotated, Any

import typer

Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="KEY=VALUE", help="settings, such as train.epochs=4", show_default=False),
]
RunFolder = Annotated[str, typer.Argument(metavar="RUN", help="run folder, or model folder saved by bertune")]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as one JSON document on stdout")]


def print_json(value: Any) -> None:
    """Print a value as one JSON document on stdout."""
    from bertune.files import to_json

    print(to_json(value))
