"""`bertune evaluate`: how a trained model scores on a labelled file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bertune.cli.arguments import AsJson, RunFolder, Settings, print_json

if TYPE_CHECKING:
    from bertune.apply import Evaluation


def evaluate(
    run: RunFolder,
    data: Annotated[str, typer.Argument(metavar="FILE", help="a labelled data file, or a named data set")],
    settings: Settings = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="write what is predicted of each row there", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Score a trained model on a labelled file, or on the test file of a named data set."""
    from bertune import api
    from bertune.cli import show
    from bertune.config import parse_overrides
    from bertune.reporting.wording import counted

    model = api.load(run, overrides=parse_overrides(settings or []))
    table, columns, notes = model.open(data, need_label=True)
    name = Path(data).name.split(".")[0]
    if out is not None:
        _refuse_folder(out, name, model.extra_suffixes, table.name)
    found = model.evaluate(table, columns)
    if out is not None:
        _write(out, name, found)
    if as_json:
        print_json(
            {
                "run": run,
                "scores": {name: found.scores},
                "details": {name: found.details},
                "examples": found.num_examples,
                "truncated": found.num_truncated,
            }
        )
        return
    console, noun = show.messages(), model.noun
    if out is not None:
        show.say(console, f"predictions in {out}", "dim")
    for note in notes:
        show.say(console, note, "dim")
    if found.num_truncated:
        show.warn(
            console,
            f"{found.num_truncated:,} of {counted(found.num_examples, noun)} are truncated, as in training",
        )
    show.say(console, counted(found.num_examples, noun))
    show.results().print(show.score_table({name: found.scores}))
    if found.details.get("per_class"):
        show.results().print(show.class_table(found.details))


def _refuse_folder(folder: Path, name: str, endings: tuple[str, ...], source: str) -> None:
    """Raises ConfigError, before anything is computed, for a folder that cannot be written to."""
    from bertune.errors import ConfigError
    from bertune.files import refuse_unusable

    refuse_unusable(folder, "--out")
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file; give a folder, where {name}.jsonl is put")
    for ending in ("jsonl", *endings):
        path = folder / f"{name}.{ending}"
        if os.path.lexists(path):
            what = "is the data file itself" if _is_same(path, source) else "already exists"
            raise ConfigError(
                f"--out {folder}: {path} {what}; evaluate does not overwrite files. Give another folder"
            )


def _is_same(path: Path, source: str) -> bool:
    return path.exists() and Path(source).exists() and path.samefile(source)


def _write(folder: Path, name: str, found: "Evaluation") -> None:
    """The files of a run's predictions folder, under the name of what was scored."""
    from bertune.files import disk_errors, write_atomically, write_jsonl

    with disk_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / f"{name}.jsonl", found.lines)
    for ending, lines in found.files.items():
        write_atomically(folder / f"{name}.{ending}", "".join(f"{line}\n" for line in lines))
