"""Generate the marked blocks of the documentation: help texts, settings, data sets, recipes and tasks.

    python docs/generate.py            update all blocks
    python docs/generate.py --check    list the files with outdated blocks, and exit with 1 if there are any

A block is the text between <!-- generated: NAME --> and <!-- end --> in a Markdown file of this folder.
NAME is a key of BLOCKS.
"""

import re
import sys
import types
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from typer.testing import CliRunner

from bertune import errors, registry, task_info
from bertune.cli.app import app
from bertune.config import Config, GateConfig
from bertune.data import named
from bertune.export.formats import FORMATS
from bertune.tasks.classification.task import Classification

DOCS = Path(__file__).parent
_GATE = "limit on a final score: a minimum, or a maximum if lower is better; exit code 5 if it is missed"
_BLOCK = re.compile(r"(<!-- generated: ([^>]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def commands() -> list[str]:
    """Return the names of the subcommands, in the order of `bertune --help`."""
    return [str(command.name) for command in app.registered_commands]


def help_of(*command: str) -> str:
    """Return the output of `bertune COMMAND --help` in a terminal with 80 columns."""
    result = CliRunner().invoke(app, [*command, "--help"], prog_name="bertune", env={"COLUMNS": "80"})
    shell_line = " ".join(("bertune", *command, "--help"))
    lines = "\n".join(line.rstrip() for line in result.output.splitlines())
    return f"```text\n$ {shell_line}\n{lines}\n```"


def settings() -> str:
    """Return a table of all settings with their types, defaults and meanings."""
    rows = ["| setting | type | default | meaning |", "|---|---|---|---|"]
    for section, model in ((name, field.annotation) for name, field in Config.model_fields.items()):
        assert isinstance(model, type) and issubclass(model, BaseModel)
        for key, field in model.model_fields.items():
            kinds = ", ".join(dict.fromkeys(_kinds(field.annotation)))
            meaning = (field.description or "").replace("|", "\\|")
            rows.append(f"| `{section}.{key}` | {kinds} | {_shown(field.default)} | {meaning} |")
        if model is GateConfig:
            rows.append(f"| `{section}.SCORE` | number | | {_GATE} |")
    return "\n".join(rows)


def _kinds(annotation: Any) -> list[str]:
    """Describe the values of a type annotation for the settings table."""
    if annotation == dict[str, Any]:
        return ["ranges and choices by setting"]
    if get_origin(annotation) is Literal:
        return [f"`{value}`" for value in get_args(annotation)]
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for member in get_args(annotation) for kind in _kinds(member)]
    names = {int: "integer", float: "number", str: "string", bool: "`true`, `false`", type(None): ""}
    kind = names.get(annotation, "comma-separated strings")
    return [kind] if kind else []


def data_sets() -> str:
    """Return a table of the named data sets with their descriptions, tasks and files."""
    rows = ["| name | description | task | files |", "|---|---|---|---|"]
    for known, dataset in _data_sets():
        files = ", ".join(f"{file.use}: `{file.name}`" for file in dataset.files)
        rows.append(f"| `{known.name}` | {known.about} | `{known.task}` | {files} |")
    return "\n".join(rows)


def sources() -> str:
    """List where each named data set is published and where bertune looks for local files."""
    parts = []
    for known, dataset in _data_sets():
        folder = dataset.folder or known.name
        local = [f"- `BERTUNE_DATA/{folder}/{file.name}`{_only_own(file)}" for file in dataset.files]
        published = [f"- published: <{source.url.partition('?')[0]}>" for source in dataset.sources]
        lines = local + published if dataset.packaged_in is None else ["- bundled with bertune"]
        parts.append("\n".join([f"**{known.name}**: {known.about}", "", *lines]))
    return "\n\n".join(parts)


def _only_own(file: named.File) -> str:
    return f" (not available for download: {file.only_own})" if file.only_own else ""


def _data_sets() -> list[tuple[named.Known, named.Dataset]]:
    return [(known, named.dataset(known.name)) for known in named.known() if not known.is_recipe]


def recipes() -> str:
    """Return a table of the recipes, then a section per recipe with its notes and settings."""
    rows = ["| recipe | task | reproduces |", "|---|---|---|"]
    parts = []
    for known in named.known():
        if known.is_recipe:
            comment, tables = named.recipe(known.name)
            rows.append(f"| [`{known.name}`](#{known.name}) | `{known.task}` | {_cell(known.about)} |")
            parts.append("\n".join([f"## {known.name}", "", *comment, "", "```toml", tables, "```"]))
    return "\n\n".join(["\n".join(rows), *parts])


def columns() -> str:
    """List the column names that classification recognizes without settings."""
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
    """Return a table of the readers with the file name suffixes they handle."""
    rows = ["| reader | file name suffixes |", "|---|---|"]
    for name in registry.names("reader"):
        suffixes = registry.load("reader", name).SUFFIXES
        rows.append(f"| `{name}` | {', '.join(f'`{suffix}`' for suffix in suffixes)} |")
    return "\n".join(rows)


def tasks() -> str:
    """Return a section per task: columns, scores, options and an example file."""
    parts = []
    for name in registry.names("task"):
        task = task_info.task(name)
        options = [
            f"| `{o['key']}` | {o['takes']} | {_shown(o['default'])} | {_cell(o['meaning'])} |"
            for o in task["options"]
        ]
        text = "; ".join(" and ".join(f"`{column}`" for column in group) for group in task["text"])
        label = ", ".join(f"`{column}`" for column in task["label"])
        scores = ", ".join(f"`{score}`" for score in task["scores"])
        table = (
            ["| option | type | default | meaning |", "|---|---|---|---|", *options, ""] if options else []
        )
        lines = [
            f"## {name}",
            "",
            task["about"],
            "",
            f"- recognized text columns: {text}",
            *([f"- recognized label columns: {label}"] if label else []),
            f"- scores: {scores}; the best checkpoint is selected by `{task['primary']}`",
            *_by_name("named data sets", task["data_sets"]),
            *_by_name("recipes", task["recipes"]),
            "",
            *table,
            "```json",
            *task["example"],
            "```",
        ]
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _by_name(title: str, entries: list[dict[str, str]]) -> list[str]:
    names = ", ".join(f"`{entry['name']}`" for entry in entries)
    return [f"- {title}: {names}"] if entries else []


def _shown(value: Any) -> str:
    """A default value as it is written on the command line, as code."""
    text = task_info.as_written(value)
    return text and f"`{text}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def export_formats() -> str:
    """Return a table of the export formats with their files and default limits."""
    rows = [
        "| format | content | file | `max_difference` | `max_flips` | `max_score_loss` |",
        "|---|---|---|---|---|---|",
    ]
    for name, known in FORMATS.items():
        limits = (known.tolerance.difference, known.tolerance.flips, known.tolerance.score_loss)
        cells = " | ".join(f"{limit:g}" for limit in limits)
        rows.append(f"| `{name}` | {known.description} | `{known.graph or 'model.safetensors'}` | {cells} |")
    return "\n".join(rows)


def exit_codes() -> str:
    """Return the tree of errors and exit codes from the docstring of bertune.errors."""
    tree = (errors.__doc__ or "").split("\n\n", 1)[1].strip("\n")
    lines = "\n".join(line.removeprefix("    ") for line in tree.splitlines() if line.startswith("    "))
    return f"```text\n{lines}\n```"


BLOCKS: dict[str, Callable[[], str]] = {
    "help": help_of,
    **{f"help {command}": partial(help_of, command) for command in commands()},
    "settings": settings,
    "data sets": data_sets,
    "sources": sources,
    "recipes": recipes,
    "columns": columns,
    "readers": readers,
    "tasks": tasks,
    "exit codes": exit_codes,
    "export formats": export_formats,
}


def fresh(text: str) -> str:
    """Return the text of a document with all generated blocks updated."""
    return _BLOCK.sub(lambda block: f"{block[1]}{BLOCKS[block[2]]()}\n{block[3]}", text)


def main(arguments: list[str]) -> int:
    """Update or check all documents and return the exit code."""
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
        sys.stderr.write(f"outdated: {', '.join(stale)}. To update, run: python docs/generate.py\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
