"""Owns the arguments that several verbs share, so that they read alike everywhere."""

import json
import sys
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
    json.dump(value, sys.stdout, indent=2, ensure_ascii=False)
    print()
