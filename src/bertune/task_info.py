"""Descriptions of the tasks, named data sets and recipes, as plain data."""

import inspect
import json
import typing
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bertune import registry
from bertune.config import TaskConfig
from bertune.data import named
from bertune.tasks import Task, make_task


def tasks() -> list[dict[str, Any]]:
    """Every task: its name, description, primary score, named data sets and recipes."""
    known = named.known()
    return [
        {
            **_in_short(name, make_task(TaskConfig(name=name))),
            **{kind: [entry["name"] for entry in found] for kind, found in _named(name, known).items()},
        }
        for name in registry.names("task")
    ]


def task(name: str) -> dict[str, Any]:
    """The full description of a task, as plain JSON; `name` can be a Python file. Raises ConfigError."""
    config = TaskConfig(name=name)
    found, name = make_task(config), config.name
    return {
        **_in_short(name, found),
        "text": [list(group) for group in found.columns.text],
        "label": list(found.columns.label),
        "options": [
            {
                "key": f"task.{key}",
                "takes": _takes(field.annotation),
                "default": field.default,
                "meaning": field.description or "",
            }
            for key, field in type(found).Options.model_fields.items()
        ],
        "scores": list(found.scores),
        **_named(name, named.known()),
        "example": [json.dumps(row, ensure_ascii=False) for row in found.sample],
    }


def data_sets() -> list[dict[str, Any]]:
    """Every named data set, then every recipe: task, description, files, and which files are available.

    Raises ConfigError if BERTUNE_DATA is not a folder.
    """
    return [_data_set(known) for known in named.known()]


def data_set(name: str) -> dict[str, Any]:
    """The full description of a data set or recipe, as plain JSON. Raises ConfigError.

    In addition to the entries of `data_sets`: where the data set is published, the settings that the name
    stands for, and the recipes that train on it.
    """
    named.refuse_unknown(name)
    known = named.known()
    entry = next((entry for entry in known if entry.name == name), None) or named.known_file(name)
    source = named.source_of(name)
    found = named.dataset(source or name)
    own = source or Path(name).stem
    recipes = [] if source else [e.name for e in known if e.is_recipe and named.source_of(e.name) == name]
    return {
        **_data_set(entry),
        "published_at": [
            {"url": each.url, "sha256": each.sha256, "at_most_bytes": each.at_most} for each in found.sources
        ],
        "put_at": None if found.packaged_in else f"BERTUNE_DATA/{found.folder or own}",
        "settings": {
            f"{section}.{key}": value
            for section, values in named.settings_of(name).items()
            for key, value in values.items()
        },
        "recipes": recipes,
    }


def as_written(value: Any) -> str:
    """The value of a setting as it is written on the command line; empty for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


def _data_set(known: named.Known) -> dict[str, Any]:
    source = named.source_of(known.name)
    found = named.dataset(source or known.name)
    paths = named.at_hand(source or Path(known.name).stem, found)
    return {
        "name": known.name,
        "kind": "recipe" if known.is_recipe else "data set",
        "about": known.about,
        "task": known.task,
        "source": source,
        "files": [
            {
                "split": file.use,
                "name": file.name,
                "path": None if (path := paths[file.name]) is None else str(path),
                "bytes": None if path is None else path.stat().st_size,
                "not_published": file.only_own,
            }
            for file in found.files
        ],
        "on_this_machine": all(path is not None for path in paths.values()),
    }


def _in_short(name: str, found: Task) -> dict[str, Any]:
    about = (inspect.getdoc(type(found)) or "").split("\n\n")[0].replace("\n", " ")
    return {"name": name, "about": about, "primary": found.primary}


def _named(task_name: str, known: Iterable[named.Known]) -> dict[str, list[dict[str, str]]]:
    """The data sets and recipes of a task, each with its description."""
    found = [entry for entry in known if entry.task == task_name]
    return {
        kind: [{"name": entry.name, "about": entry.about} for entry in found if entry.is_recipe == is_recipe]
        for kind, is_recipe in (("data_sets", False), ("recipes", True))
    }


def _takes(annotation: Any) -> str:
    """A description of a type for users."""
    if annotation is type(None):
        return "nothing"
    if typing.get_origin(annotation) is typing.Literal:
        return ", ".join(str(value) for value in typing.get_args(annotation))
    inner = typing.get_args(annotation)
    if inner and typing.get_origin(annotation) in (tuple, list, dict):
        kinds = "integers" if int in inner else "names"
        return {"tuple": kinds, "list": "numbers or names", "dict": "names and numbers"}[
            typing.get_origin(annotation).__name__
        ]
    if inner:
        return ", ".join(_takes(part) for part in inner if part is not type(None))
    words = {"bool": "true or false", "int": "an integer", "float": "a number", "str": "a string"}
    return words.get(getattr(annotation, "__name__", ""), str(annotation))
