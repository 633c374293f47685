"""`bertune train`: fine-tune a model on a source and write a run folder."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bertune.cli.arguments import AsJson, Settings, print_json

if TYPE_CHECKING:
    from bertune.config import Config

Source = Annotated[
    str,
    typer.Argument(
        metavar="SOURCE",
        help="a data file, a named data set (demo, cola …), a settings file, or a run folder to resume",
    ),
]


def train(
    source: Source,
    settings: Settings = None,
    out: Annotated[
        Path | None, typer.Option(help="run folder; default: runs/NAME", show_default=False)
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="resume from the latest intact checkpoint")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune an encoder on labelled texts.

    \b
    bertune train reviews.csv model.name=minilm data.text=review data.label=stars
    bertune train cola model.name=minilm train.epochs=4 --out runs/cola --json
    """
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space()
    from bertune.allocator import tune_allocator
    from bertune.api import train_events
    from bertune.cli import streams
    from bertune.console import show
    from bertune.console.progress import result_line, watch
    from bertune.files import shell_word, shown_path
    from bertune.gates import refuse_failed
    from bertune.settings import parse_overrides

    if as_json:
        streams.refuse_closed_output("scores")
    console = show.messages()
    tune_allocator()
    events = train_events(source, settings=parse_overrides(settings or []), out=out, resume=resume)
    run = watch(events, console)
    manifest = run.manifest
    if as_json:
        print_json(_as_json(str(run.path), manifest))
        refuse_failed(manifest.get("gates"), shown_path(run.path))
        return
    show.echo(console, result_line(manifest))
    if not streams.is_closed():  # the result is the run folder, so training works without standard output
        show.results().print(show.score_table(manifest["scores"], manifest.get("intervals")))
    if interval_note := show.interval_note(manifest.get("intervals"), manifest["row_noun"]):
        show.echo(console, interval_note, "dim")
    if seed_note := show.seed_note(manifest.get("seeds")):
        show.echo(console, f"\n{seed_note}")
    verdict = (manifest.get("baselines") or {}).get("verdict")
    if verdict:
        show.echo(console, f"\n{verdict}")
    folder = shown_path(run.path)
    again = "".join(f" {setting}" for setting in own_code(run.config))
    show.echo(console, f"\nmodel    {folder}/model\nreport   {folder}/report/index.html")
    show.echo(console, f"use it   bertune predict {shell_word(folder)} FILE{again}")
    refuse_failed(manifest.get("gates"), folder)


def own_code(config: "Config") -> list[str]:
    """The settings that refer to custom code, which must be passed again to use the model."""
    settings = {"task.name": config.task.name, "model.head": config.model.head}
    return [f"{key}={name}" for key, name in settings.items() if name.endswith(".py")]


def _as_json(path: str, manifest: dict[str, Any]) -> dict[str, Any]:
    keys = (
        "scores", "intervals", "gates", "baselines", "seeds", "details", "training", "timings", "warnings",
        "peak_memory_mb",
    )  # fmt: skip
    return {"run": path, "status": manifest["status"], **{key: manifest.get(key) for key in keys}}
