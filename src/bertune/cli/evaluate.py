"""`bertune evaluate`: evaluate a trained model on a labelled file."""

from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, RunFolder, Settings, print_json


def evaluate(
    run: RunFolder,
    data: Annotated[str, typer.Argument(metavar="FILE", help="labelled data file or named data set")],
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="write each row with its label and prediction to this new file: .jsonl, .csv, .parquet, or "
            ".run or .qrels for rankings",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Evaluate a trained model on a labelled file, or on the test file of a named data set."""
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space(run)
    from bertune import api
    from bertune.allocator import tune_allocator
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.errors import counted
    from bertune.settings import parse_overrides

    refuse_closed_output("scores")
    tune_allocator()
    model = api.load(run, settings=parse_overrides(settings or []))
    found = model.evaluate(data, out)
    name = Path(data).name.split(".")[0]
    if as_json:
        print_json(
            {
                "run": run,
                "scores": {name: found.scores},
                "details": {name: found.details},
                "examples": found.num_examples,
                "truncated": found.num_truncated,
                "warnings": found.warnings,
                **({} if found.decision is None else {"decision": found.decision}),
            }
        )
        return
    console, noun = show.messages(), found.noun
    if out is not None:
        show.echo(console, f"predictions written to {out}", "dim")
    for note in found.notes:
        show.echo(console, note, "dim")
    if found.num_truncated:
        of_all = f"{found.num_truncated:,} of {counted(found.num_examples, noun)}"
        show.warn(console, show.truncation_note(of_all, model.max_length, model.length_limit))
    for text in found.warnings:
        show.warn(console, text)
    show.echo(console, counted(found.num_examples, noun))
    show.results().print(show.score_table({name: found.scores}))
    if found.decision is not None:
        show.echo(show.results(), found.decision["sentence"])
    if found.details.get("per_class"):
        show.results().print(show.class_table(found.details))
