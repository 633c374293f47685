"""`bertune tune`: search for the best settings, and train them."""

from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, Settings, print_json
from bertune.cli.train import Source


def tune(
    source: Source,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="folder of the search; default: runs/NAME-tune", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="continue, or join other processes that work on the search")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Search for the best settings, and train them as a run.

    \b
    bertune tune reviews.csv model.name=minilm
    bertune tune reviews.csv tune.space.train.lr=1e-5..1e-4 tune.trials=30 tune.folds=5
    """
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space()
    from bertune.allocator import tune_allocator
    from bertune.api import tune_events
    from bertune.cli import streams
    from bertune.console import show
    from bertune.files import shell_word, shown_path
    from bertune.gates import refuse_failed
    from bertune.settings import parse_overrides
    from bertune.source import Request

    if as_json:
        streams.refuse_closed_output("scores")
    console = show.messages()
    tune_allocator()
    events = tune_events(Request(source, None, parse_overrides(settings or []), out, resume))
    from bertune.console import tuning  # imports Optuna, which the call above has required

    result = tuning.watch(events, console)
    record, folder = result.record, shown_path(result.path)
    if as_json:
        print_json({"folder": str(result.path), **record.to_json()})
    else:
        if not streams.is_closed():
            show.results().print(tuning.trial_table(record))
        show.echo(console, f"\n{tuning.conclusions(record)}")
        show.echo(console, f"\nmodel    {folder}/best/model\nreport   {folder}/report/index.html")
        show.echo(console, f"use it   bertune predict {shell_word(f'{folder}/best')} FILE")
    refuse_failed(result.best.manifest.get("gates"), f"{folder}/best")
