"""Owns the arguments that several verbs share, so that they read alike everywhere."""

from typing import Annotated, Any

import typer

Settings = Annotated[
    list[str] | None,
    typer.Argument(metavar="[KEY=VALUE]...", help="settings, as in train.epochs=4", show_default=False),
]
RunFolder = Annotated[
    str, typer.Argument(metavar="RUN", help="a run folder, or a model folder bertune saved")
]
AsJson = Annotated[bool, typer.Option("--json", help="print the result as one JSON object on stdout")]


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    from bertune.files import to_json

    print(to_json(value))
