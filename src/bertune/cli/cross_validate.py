"""`bertune cross-validate`: train and evaluate a model for every fold of the training data."""

from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, Settings, print_json
from bertune.cli.train import Source


def cross_validate(
    source: Source,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the results; default: runs/NAME-folds", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue, or join other processes that work on the folder")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train and evaluate a model for every fold of the training data.

    \b
    bertune cross-validate reviews.csv model.name=minilm data.group=user cross_validate.folds=10
    """
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space()
    from bertune.allocator import tune_allocator
    from bertune.api import cross_validate_events
    from bertune.cli import streams
    from bertune.console import folds, show
    from bertune.files import shown_path
    from bertune.gates import refuse_failed
    from bertune.settings import parse_overrides
    from bertune.source import Request

    if as_json:
        streams.refuse_closed_output("scores")
    console = show.messages()
    tune_allocator()
    request = Request(source, None, parse_overrides(settings or []), out, resume)
    result = folds.watch(cross_validate_events(request), console)
    record = result.record
    gates = [gate.to_json() for gate in record.gates or []]
    if as_json:
        print_json({"folder": str(result.path), **record.to_json()})
        refuse_failed(gates, shown_path(result.path))
        return
    if not streams.is_closed():
        show.results().print(folds.summary_table(record))
        if record.decision:
            show.results().print(f"\n{record.decision}")
    folder = shown_path(result.path)
    show.echo(console, f"\npredictions   {folder}/predictions/out-of-fold.jsonl")
    show.echo(console, f"report        {folder}/report/index.html")
    refuse_failed(gates, folder)
