"""`bertune export`: export a trained model and compare the export with it."""

from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, Settings, print_json


def export(
    run: Annotated[str, typer.Argument(metavar="RUN", help="folder of a finished run")],
    settings: Settings = None,
    to: Annotated[
        str,
        typer.Option(
            help="format: onnx, onnx-int8, onnx-fp16, safetensors or safetensors-bf16", metavar="FORMAT"
        ),
    ] = "onnx",
    out: Annotated[
        Path | None,
        typer.Option(help="folder of the export; default: RUN/export/FORMAT", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Export a trained model, and accept the export only if it reproduces the results of the model.

    The export predicts the validation rows of the run. If a probability, a label or a score differs by more
    than the limits of its format (export.max_difference, export.max_flips, export.max_score_loss), nothing
    is written and the exit code is 5.
    """
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space()
    from bertune import api
    from bertune.allocator import tune_allocator
    from bertune.cli.interruption import interruptible
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.console.parity import show_parity
    from bertune.settings import parse_overrides

    refuse_closed_output("the comparison")
    tune_allocator()
    console = show.messages()
    with interruptible():
        found = api.export(
            run,
            to,
            settings=parse_overrides(settings or []),
            out=out,
            on_progress=lambda text: show.echo(console, text, "dim"),
        )
    if as_json:
        print_json({"out": str(found.path), **found.parity})
        return
    show_parity(console, show.results(), found.parity)
    show.echo(console, f"exported to {found.path}")
