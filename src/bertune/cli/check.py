"""`bertune check`: inspect the data before training."""

from pathlib import Path
from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, Settings, print_json


def check(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="same as for `bertune train`")],
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="folder to write the splits to, as files that `bertune train` can read", show_default=False
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Audit the data before training: duplicates, leakage, labels, truncation, tokens.

    Writes nothing, except the splits with --out.
    """
    from bertune import api
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.files import shell_word
    from bertune.settings import parse_overrides

    refuse_closed_output("the results")
    prepared = api.check(source, settings=parse_overrides(settings or []), out=out)
    if as_json:
        print_json({**prepared.audit, "notes": prepared.notes, "warnings": prepared.warnings})
        return
    console = show.results()
    show.data_summary(console, prepared.notes, prepared.audit)
    findings = prepared.audit["data"]["findings"]
    show.echo(console, "")
    show.findings_table(console, findings)
    lines = {finding.line() for finding in prepared.findings}
    for text in prepared.warnings:
        if text not in lines:
            show.warn(console, text)
    if out is not None:
        show.echo(
            show.messages(), f"\nsplits   {out}\ntrain    bertune train {shell_word(out)}/settings.toml"
        )
