"""`bertune compare`: compare finished runs on the same test rows."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, print_json


def compare(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN", help="two or more run folders; the first is the reference")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="write the rows whose predictions changed to this new file: .jsonl or .csv",
            show_default=False,
        ),
    ] = None,
    score: Annotated[
        str | None,
        typer.Option(
            help="the score that is tested first; by default, the primary score of the first run",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare runs on the same test rows: differences, intervals, p values, and the rows that changed.

    \b
    bertune compare runs/base runs/large --out changed.csv
    """
    from bertune import api
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.console.comparison import changed_table, comparison_table, conclusion, explanation
    from bertune.errors import counted
    from bertune.files import shown_path

    refuse_closed_output("the comparison")
    found = api.compare(runs, out=out, score=score)
    console = show.messages()
    if out is not None:
        show.echo(console, f"rows that changed written to {shown_path(out)}", "dim")
    if as_json:
        print_json(asdict(found))
        return
    for run in found.runs:
        show.echo(
            console, f"\n{run.path} compared with {found.first}, {counted(found.rows, f'{found.split} row')}"
        )
        show.results().print(comparison_table(run, found.primary))
        show.echo(console, conclusion(run, found.primary), "bold")
        show.echo(console, changed_table(run))
    show.echo(console, explanation(found), "dim")
