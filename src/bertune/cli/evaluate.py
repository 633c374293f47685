"""`bertune evaluate`: evaluate a trained model on a labelled file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bertune.cli.arguments import AsJson, RunFolder, Settings, print_json

if TYPE_CHECKING:
    from bertune.predict.model import Model
    from bertune.predict.results import Evaluation


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
    from bertune import api, gates
    from bertune.allocator import tune_allocator
    from bertune.cli.streams import refuse_closed_output
    from bertune.config import GateConfig
    from bertune.errors import GateError
    from bertune.settings import parse_overrides, validated

    refuse_closed_output("scores")
    tune_allocator()
    given = parse_overrides(settings or [])
    limits = validated(GateConfig, given.pop("gate", {}), "gate.").limits
    model = api.load(run, settings=given)
    found = model.evaluate(data, out)
    scores = {**(found.calibration or {}), **found.scores}
    gates.refuse_unknown(limits, scores)
    name = Path(data).name.split(".")[0]
    measured = [gate.to_json() for gate in gates.measured(limits, {name: scores}, name)]
    failed = gates.failures(measured)
    if as_json:
        print_json(
            {
                "run": run,
                "scores": {name: found.scores},
                "intervals": {name: found.intervals},
                "calibration": found.calibration,
                "gates": measured,
                "details": {name: found.details},
                "examples": found.num_examples,
                "truncated": found.num_truncated,
                "warnings": found.warnings,
                "decision": found.decision,
            }
        )
    else:
        _show(model, found, name, out)
    if failed:
        raise GateError(failed)


def _show(model: "Model", found: "Evaluation", name: str, out: Path | None) -> None:
    """Print notes and warnings, and the scores of the file called `name`."""
    from bertune.console import show
    from bertune.errors import counted

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
    show.results().print(show.score_table({name: found.scores}, {name: found.intervals}))
    if interval_note := show.interval_note({name: found.intervals}, noun):
        show.echo(console, interval_note, "dim")
    if found.decision is not None:
        show.echo(show.results(), found.decision["sentence"])
    if found.details.get("per_class"):
        show.results().print(show.class_table(found.details))
