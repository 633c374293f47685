"""`bertune decide`: calibrate a trained model, and fit its decision rule, on a labelled file."""

from typing import Annotated

import typer

from bertune.cli.arguments import AsJson, RunFolder, Settings, print_json


def decide(
    run: RunFolder,
    data: Annotated[str, typer.Argument(metavar="FILE", help="labelled data file or named data set")],
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate a trained model, and decide which of its predictions can be used without review.

    The rows of FILE must not have been used for training or to select the checkpoint. The result is stored
    with the model and applied by `predict`, `evaluate`, `serve` and later exports. To fit a rule for an
    existing export, pass its folder as RUN.

    \b
      bertune decide RUN FILE decide.max_error=0.02     at most 2% of the answers are wrong
      bertune decide RUN FILE decide.objective=f1       the best cutoff of each label
      bertune decide RUN FILE                           calibration only
    """
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space(run)
    from bertune import api
    from bertune.allocator import tune_allocator
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.settings import parse_overrides

    refuse_closed_output("the decision rule")
    tune_allocator()
    found = api.decide(run, data, settings=parse_overrides(settings or []))
    if as_json:
        print_json({"run": run, **found.plain()})
        return
    console = show.messages()
    for note in (*found.input_notes, *(n for n in found.decided.notes if n != found.sentence)):
        show.echo(console, note, "dim")
    for warning in found.decided.warnings:
        if warning != found.sentence:
            show.warn(console, warning)
    if found.sentence:
        show.echo(show.results(), found.sentence)
    show.echo(console, f"stored in {found.folder}")
