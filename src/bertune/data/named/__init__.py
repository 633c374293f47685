"""Owns the data sets and recipes that are known by name: one file each, found by its name."""

import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune import registry
from bertune.config import Settings, read_toml
from bertune.data.named._dataset import Dataset, File, Source
from bertune.data.named._files import located
from bertune.errors import ConfigError, did_you_mean, listed

__all__ = ["Dataset", "Defaults", "File", "Source", "defaults", "names"]


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings that stand under the user's own, and what the user must know about the data."""

    settings: Settings
    notes: tuple[str, ...] = ()


def names() -> list[str]:
    """Every data set, then every recipe."""
    return registry.names("dataset") + sorted(_recipes())


def defaults(name: str) -> Defaults:
    """The settings of a data set, with absolute paths to its files, or of a recipe for one.

    Downloads files that are neither under BERTUNE_DATA nor in the cache. Raises ConfigError for an
    unknown name, DataError or ResourceError when the files cannot be had.
    """
    recipe = _recipes().get(name)
    if recipe is not None:
        return _recipe_defaults(recipe)
    if not name.endswith(".py") and name not in names():
        raise ConfigError(
            f'there is no data set or recipe "{name}".{did_you_mean(name, names())}'
            f" There are: {listed(names(), 60)}"
        )
    module = registry.load("dataset", name)
    dataset = registry.exported(module, "DATASET")
    if not isinstance(dataset, Dataset):
        raise ConfigError(f"{module.__file__}: DATASET must be a bertune.data.named.Dataset")
    files = located(Path(name).stem if name.endswith(".py") else name, dataset)
    settings = copy.deepcopy(dataset.settings)
    settings.setdefault("data", {}).update({use: str(path) for use, path in files.paths.items()})
    return Defaults(settings, files.notes)


def _recipes() -> dict[str, Path]:
    return {path.stem: path for path in Path(__file__).parent.glob("*.toml")}


def _recipe_defaults(path: Path) -> Defaults:
    """The recipe's tables over its source's, less the settings of the source that `unset` lists."""
    tables: dict[str, Any] = read_toml(path)
    source, unset = tables.pop("source"), tables.pop("unset", [])
    below = defaults(source)
    settings = below.settings
    for section, values in tables.items():
        settings.setdefault(section, {}).update(values)
    for key in unset:
        section, _, setting = key.partition(".")
        del settings[section][setting]
    return Defaults(settings, below.notes)
