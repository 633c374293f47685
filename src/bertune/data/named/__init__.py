"""Named data sets and recipes. Each is one file of this folder, loaded by its name."""

import copy
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune import registry
from bertune.config import Settings, TaskConfig
from bertune.data.named._dataset import Dataset, Download, File
from bertune.data.named._files import at_hand, located
from bertune.errors import ConfigError, did_you_mean, listed
from bertune.settings import read_toml

__all__ = [
    "Dataset",
    "Defaults",
    "Download",
    "File",
    "Known",
    "at_hand",
    "dataset",
    "defaults",
    "known",
    "known_file",
    "names",
    "recipe",
    "refuse_unknown",
    "settings_of",
    "source_of",
]

_SENTENCE = re.compile(r"(.+?)(?<!\b[A-Z])\.( [A-Z(]|$)")  # the full stop of an initial is not the end


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings that the user's own settings override, with notes about the data."""

    settings: Settings
    notes: tuple[str, ...] = ()
    not_to_train: str = ""  # why there is no training file, and what to do; empty if there is one


@dataclass(frozen=True, slots=True)
class Known:
    """Summary of a named data set or recipe."""

    name: str
    about: str
    task: str  # task.name
    is_recipe: bool


def names() -> list[str]:
    """The names of all data sets, then of all recipes."""
    return registry.names("dataset") + sorted(_recipes())


def known() -> list[Known]:
    """A summary of every data set, then of every recipe, from their files. Reads no data."""
    sets = [
        Known(name, _about(registry.load("dataset", name).__doc__), _task_of(name), False)
        for name in registry.names("dataset")
    ]
    recipes = [
        Known(name, _about("\n".join(recipe(name)[0]), "Reproduces "), _task_of(name), True)
        for name in sorted(_recipes())
    ]
    return sets + recipes


def known_file(name: str) -> Known:
    """The summary of a data set in the user's own file. Raises ConfigError."""
    about = _about(registry.load("dataset", name).__doc__)
    return Known(name, about, _task_of(name), is_recipe=False)


def dataset(name: str) -> Dataset:
    """The data set with a name, or the one in the user's own file. Raises ConfigError."""
    module = registry.load("dataset", name)
    found = registry.exported(module, "DATASET")
    if not isinstance(found, Dataset):
        raise ConfigError(
            f"{module.__file__}: DATASET must be a bertune.data.named.Dataset, got {type(found).__name__}"
        )
    return found


def recipe(name: str) -> tuple[list[str], str]:
    """The contents of a recipe: the lines of its comment, and the settings as TOML."""
    lines = _recipes()[name].read_text(encoding="utf-8").splitlines()
    comment = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    return comment, "\n".join(line for line in lines if not line.startswith("#")).strip()


def source_of(name: str) -> str | None:
    """The name of the data set that a recipe trains on; None for a data set."""
    if name not in _recipes():
        return None
    below = str(read_toml(_recipes()[name])["source"])  # may itself be a recipe
    return source_of(below) or below


def settings_of(name: str) -> Settings:
    """The settings of a data set or recipe, without file paths. Reads no data."""
    if name in _recipes():
        return _with_recipe(name, settings_of(str(read_toml(_recipes()[name])["source"])))
    return copy.deepcopy(dataset(name).settings)


def is_known(name: str) -> bool:
    """Whether `name` is a data set, a recipe or a Python file."""
    return name.endswith(".py") or name in names()


def refuse_unknown(name: str) -> None:
    """Raises ConfigError unless `name` is a data set, a recipe or a Python file."""
    if not is_known(name):
        raise ConfigError(
            f'unknown data set or recipe "{name}".{did_you_mean(name, names())}'
            f" Available names: {listed(names())}. `bertune datasets` lists all of them"
        )


def defaults(name: str, to_score: bool = False, given: Collection[str] = ()) -> Defaults:
    """The settings of a data set or recipe, with absolute paths to the files.

    With `to_score`, only one file is returned: the test file, or the validation file if there is no test file
    or only the validation file is on this machine. Splits in `given` are skipped. Files that are neither
    under BERTUNE_DATA nor in the cache are downloaded. Raises ConfigError for an unknown name, DataError or
    ResourceError if a file cannot be obtained.
    """
    if name in _recipes():
        return _recipe_defaults(name, to_score, given)
    refuse_unknown(name)
    found = dataset(name)
    stem = Path(name).stem if name.endswith(".py") else name
    files = located(stem, found, to_score, given)
    settings = copy.deepcopy(found.settings)
    settings.setdefault("data", {}).update({use: str(path) for use, path in files.paths.items()})
    return Defaults(settings, files.notes, "" if "train" in files.paths else _not_to_train(stem, found))


def _not_to_train(name: str, found: Dataset) -> str:
    train = next((file for file in found.files if file.use == "train"), None)
    if train is None:
        return (
            f"{name} has no training file; it is for evaluation only. Run bertune evaluate RUN {name}, or "
            f"bertune predict RUN {name} if it has no labels"
        )
    folder = found.folder or name
    return (
        f"{name}: the training file is not published for download: {train.only_own}. Save it as "
        f"{folder}/{train.name} in the folder that BERTUNE_DATA is set to, or set data.train=FILE to use "
        f"another file. bertune evaluate RUN {name} works without it"
    )


def _recipes() -> dict[str, Path]:
    return {path.stem: path for path in Path(__file__).parent.glob("*.toml")}


def _recipe_defaults(name: str, to_score: bool, given: Collection[str]) -> Defaults:
    below = defaults(read_toml(_recipes()[name])["source"], to_score, given)
    return Defaults(_with_recipe(name, below.settings), below.notes, below.not_to_train)


def _with_recipe(name: str, settings: Settings) -> Settings:
    """The settings of a recipe's source, updated with the recipe's own, without those listed in `unset`."""
    tables: dict[str, Any] = read_toml(_recipes()[name])
    del tables["source"]
    unset = tables.pop("unset", [])
    for section, values in tables.items():
        settings.setdefault(section, {}).update(values)
    for key in unset:
        section, _, setting = key.partition(".")
        settings[section].pop(setting, None)
    return settings


def _task_of(name: str) -> str:
    if name in _recipes():
        tables = read_toml(_recipes()[name])
        return str(tables.get("task", {}).get("name") or _task_of(tables["source"]))
    return str(dataset(name).settings.get("task", {}).get("name", TaskConfig().name))


def _about(text: str | None, start: str = "") -> str:
    """The first sentence of a docstring or comment, without the prefix `start`."""
    joined = " ".join((text or "").split())
    sentence = _SENTENCE.match(joined)
    return (sentence[1] if sentence else joined).removeprefix(start)
