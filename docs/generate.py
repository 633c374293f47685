"""Writes the generated blocks of the documentation: help texts, settings, data sets, recipes.

    python docs/generate.py            writes them
    python docs/generate.py --check    names the stale ones and exits with 1 if there are any

A block stands between <!-- generated: NAME --> and <!-- end --> in a file of this folder; NAME is a key of
BLOCKS.
"""

import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from typer.testing import CliRunner

from bertune import errors, registry, task_info
from bertune.cli.app import app
from bertune.config import Config
from bertune.data import named
from bertune.tasks.classification.task import Classification

DOCS = Path(__file__).parent
_BLOCK = re.compile(r"(<!-- generated: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def verbs() -> list[str]:
    """The verbs of the command, in the order of its help."""
    return [str(command.name) for command in app.registered_commands]


def help_of(*verb: str) -> str:
    """What `bertune VERB --help` prints on a terminal of 80 columns."""
    shown = CliRunner().invoke(app, [*verb, "--help"], prog_name="bertune", env={"COLUMNS": "80"})
    command = " ".join(("bertune", *verb, "--help"))
    lines = "\n".join(line.rstrip() for line in shown.output.splitlines())
    return f"```text\n$ {command}\n{lines}\n```"


def settings() -> str:
    """Every key with what it takes, its default and what it means."""
    rows = ["| setting | takes | default | meaning |", "|---|---|---|---|"]
    for section, model in ((name, field.annotation) for name, field in Config.model_fields.items()):
        assert isinstance(model, type) and issubclass(model, BaseModel)
        for key, field in model.model_fields.items():
            takes = ", ".join(dict.fromkeys(_kinds(field.annotation)))
            default = "" if field.default is None else f"`{field.default}`"
            meaning = (field.description or "").replace("|", "\\|")
            rows.append(f"| `{section}.{key}` | {takes} | {default} | {meaning} |")
    return "\n".join(rows)


def _kinds(annotation: Any) -> list[str]:
    """The values of a type in plain words."""
    if get_origin(annotation) is Literal:
        return [f"`{value}`" for value in get_args(annotation)]
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _kinds(member)]
    plain = {int: "whole number", float: "number", str: "text", bool: "`true`, `false`", type(None): ""}
    kind = plain.get(annotation, "texts with commas between")
    return [kind] if kind else []


def data_sets() -> str:
    """Every named data set with what it is and which files it has."""
    rows = ["| name | what | task | files |", "|---|---|---|---|"]
    for known, dataset in _data_sets():
        files = ", ".join(f"{file.use}: `{file.name}`" for file in dataset.files)
        rows.append(f"| `{known.name}` | {known.about} | `{known.task}` | {files} |")
    return "\n".join(rows)


def sources() -> str:
    """Where each data set is published and where a file of one's own is looked for."""
    parts = []
    for known, dataset in _data_sets():
        folder = dataset.folder or known.name
        own = [f"- `BERTUNE_DATA/{folder}/{file.name}`{_only_own(file)}" for file in dataset.files]
        published = [f"- published: <{source.url.partition('?')[0]}>" for source in dataset.sources]
        lines = own + published if dataset.packaged_in is None else ["- comes with bertune"]
        parts.append("\n".join([f"**{known.name}**: {known.about}", "", *lines]))
    return "\n\n".join(parts)


def _only_own(file: named.File) -> str:
    return f", which is not published for download: {file.only_own}" if file.only_own else ""


def _data_sets() -> list[tuple[named.Known, named.Dataset]]:
    return [(known, named.dataset(known.name)) for known in named.known() if not known.is_recipe]


def recipes() -> str:
    """Every recipe: what it reproduces, and the settings it makes."""
    rows = ["| recipe | task | what it reproduces |", "|---|---|---|"]
    parts = []
    for known in named.known():
        if known.is_recipe:
            comment, tables = named.recipe(known.name)
            rows.append(f"| [`{known.name}`](#{known.name}) | `{known.task}` | {_cell(known.about)} |")
            parts.append("\n".join([f"## {known.name}", "", *comment, "", "```toml", tables, "```"]))
    return "\n\n".join(["\n".join(rows), *parts])


def columns() -> str:
    """The column names that classification takes without being told."""
    known = Classification.columns
    singles = [group[0] for group in known.text if len(group) == 1]
    pairs = [" and ".join(f"`{name}`" for name in group) for group in known.text if len(group) == 2]
    return "\n".join(
        (
            f"- text: {', '.join(f'`{name}`' for name in singles)}",
            f"- pairs of texts: {'; '.join(pairs)}",
            f"- label: {', '.join(f'`{name}`' for name in known.label)}",
        )
    )


def readers() -> str:
    """Every reader with the file names it is taken for."""
    rows = ["| reader | file names end in |", "|---|---|"]
    for name in registry.names("reader"):
        suffixes = registry.load("reader", name).SUFFIXES
        rows.append(f"| `{name}` | {', '.join(f'`{suffix}`' for suffix in suffixes)} |")
    return "\n".join(rows)


def tasks() -> str:
    """Every task: what it reads, its options and scores, and an example file."""
    parts = []
    for name in registry.names("task"):
        found = task_info.task(name)
        options = [
            f"| `{o['key']}` | {o['takes']} | {_shown(o['default'])} | {_cell(o['meaning'])} |"
            for o in found["options"]
        ]
        text = "; ".join(" and ".join(f"`{column}`" for column in group) for group in found["text"])
        label = ", ".join(f"`{column}`" for column in found["label"])
        scores = ", ".join(f"`{score}`" for score in found["scores"])
        table = (
            ["| option | takes | default | meaning |", "|---|---|---|---|", *options, ""] if options else []
        )
        lines = [
            f"## {name}",
            "",
            found["about"],
            "",
            f"- text columns taken without asking: {text}",
            *([f"- label columns taken without asking: {label}"] if label else []),
            f"- scores: {scores}; `{found['primary']}` picks the weights",
            *_by_name("data sets by name", found["data_sets"]),
            *_by_name("recipes", found["recipes"]),
            "",
            *table,
            "```json",
            *found["example"],
            "```",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _by_name(title: str, entries: list[dict[str, str]]) -> list[str]:
    names = ", ".join(f"`{entry['name']}`" for entry in entries)
    return [f"- {title}: {names}"] if entries else []


def _shown(value: Any) -> str:
    return "" if value is None else f"`{value}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def exit_codes() -> str:
    """The errors with their codes, as bertune.errors draws them."""
    tree = (errors.__doc__ or "").split("\n\n", 1)[1].strip("\n")
    drawn = "\n".join(line.removeprefix("    ") for line in tree.splitlines() if line.startswith("    "))
    return f"```text\n{drawn}\n```"


BLOCKS: dict[str, Callable[[], str]] = {
    "help": help_of,
    **{f"help {verb}": (lambda verb=verb: help_of(verb)) for verb in verbs()},
    "settings": settings,
    "data sets": data_sets,
    "sources": sources,
    "recipes": recipes,
    "columns": columns,
    "readers": readers,
    "tasks": tasks,
    "exit codes": exit_codes,
}


def fresh(text: str) -> str:
    """A document with its generated blocks written anew."""
    return _BLOCK.sub(lambda found: f"{found[1]}{BLOCKS[found[2]]()}\n{found[3]}", text)


def main(arguments: list[str]) -> int:
    """Writes or checks every document; the exit code."""
    stale = []
    for path in sorted(DOCS.glob("*.md")):
        text = path.read_text(encoding="utf-8")
        new = fresh(text)
        if new == text:
            continue
        stale.append(path.name)
        if "--check" not in arguments:
            path.write_text(new, encoding="utf-8")
    if stale and "--check" in arguments:
        sys.stderr.write(f"stale: {', '.join(stale)}; write them with: python docs/generate.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
