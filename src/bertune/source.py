"""Owns what SOURCE may be: a data file, a named data set, a settings file, a run folder, a table."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.config import Config, Settings, TaskConfig, nested, read_toml, resolve
from bertune.data import named
from bertune.data.memory import MEMORY, table_from_lists, table_of
from bertune.data.tables import Table, refuse_long_name
from bertune.errors import ConfigError, DataError, did_you_mean, listed
from bertune.run import CONFIG, stored_settings, verify_config

SPLITS = ("train", "validation", "test")
_CODE = (
    ("task", "name"),
    ("model", "head"),
    ("data", "reader"),
)  # settings that may name a file of one's own


@dataclass(frozen=True)
class Source:
    """Settings with everything under the user's own filled in, and tables that have no file."""

    name: str  # for the run folder: "cola", "reviews"
    given: str  # as the user wrote it
    config: Config
    tables: Mapping[str, Table]  # by split, for data given from Python
    notes: tuple[str, ...] = ()


def resolve_source(
    source: object, settings: Mapping[str, Any] | None, labels: Sequence[object] | None = None
) -> Source:
    """Everything that a SOURCE and the user's own settings say. Raises ConfigError, DataError."""
    user = nested(settings)
    if isinstance(source, str | Path):
        if labels is not None:
            raise ConfigError("labels can be given beside a list of texts only; a file has them in a column")
        return _from_name(str(source), user)
    tables = _memory_tables(source, labels)
    clash = sorted(set(tables) & set(user.get("data", {})))
    if clash:
        raise ConfigError(f"data.{clash[0]} is given twice: as a table and as a setting")
    config = resolve({"data": dict.fromkeys(tables, MEMORY)}, user)
    return Source("memory", MEMORY, config, tables)


def _from_name(source: str, user: Settings) -> Source:
    path = Path(source).expanduser()
    refuse_long_name(path)
    if source in named.names():
        defaults = named.defaults(source, given=user.get("data", {}))
        below, left_out = _for_task(defaults.settings, user)
        config = _with_absolute_paths(resolve(below, user), defaults.not_to_train)
        return Source(source, source, config, {}, (*defaults.notes, *left_out))
    if path.suffix == ".toml" and path.is_file():
        return _from_toml(path, user)
    if (path / CONFIG).is_file():
        verify_config(path)
        config = resolve(stored_settings(path), user)
        if config.data.train is None:
            raise ConfigError(
                f"{path / CONFIG} is damaged: data.train is missing. Put back a copy of the file"
            )
        if config.data.train == MEMORY:
            raise ConfigError(
                f"{path} was trained on data given from Python, which is not in the run; "
                "go on with bertune.train(data, out=…, resume=True)"
            )
        _refuse_unasked_code(path, config.to_settings(), user)
        return Source(path.name, source, config, {})
    if not path.exists() and not path.suffix:
        raise DataError(
            f'"{source}" is neither a file nor a named data set.{did_you_mean(source, named.names())} '
            "`bertune datasets` lists the named data sets"
        )
    settings: Settings = {"data": {"train": source}}
    return Source(path.name.split(".")[0], source, _with_absolute_paths(resolve(settings, user)), {})


def _refuse_unasked_code(path: Path, own: Settings, user: Settings) -> None:
    """Code that a settings file or a run names is not executed until the user names it; raises ConfigError.

    Such files are sent from person to person, and reading settings must not run anything.
    """
    for section, key in _CODE:
        name = str(own.get(section, {}).get(key, ""))
        if name.endswith(".py") and key not in user.get(section, {}):
            raise ConfigError(
                f"{path}: {section}.{key} names a Python file, {name}. bertune runs it only if you name it "
                f"too. Review it; if you trust it, add {section}.{key}={name} to the command (or settings=)"
            )


def _from_toml(path: Path, user: Settings) -> Source:
    tables = read_toml(path)
    base = tables.pop("source", None)
    if base is not None and not isinstance(base, str):
        raise ConfigError(
            f"{path}: source = {base!r} is no name of a data set.{did_you_mean(str(base), named.names())} "
            "`bertune datasets` lists them"
        )
    own = nested(tables)
    given = {*own.get("data", {}), *user.get("data", {})}
    defaults = named.defaults(base, given=given) if base is not None else named.Defaults({})
    for split in SPLITS:
        # A path in a settings file is meant from where the file is, not from where the command runs.
        file = own.get("data", {}).get(split)
        if file is not None and not isinstance(file, str):
            raise ConfigError(f"{path}: data.{split} = {file!r} is no name of a file")
        if file:
            own["data"][split] = str(path.parent / file)
    for section, key in (*_CODE, ("model", "name")):
        beside = path.parent / str(own.get(section, {}).get(key, ""))
        if own.get(section, {}).get(key) and (os.path.isdir(beside) or beside.suffix == ".py"):
            own[section][key] = str(beside)
    _refuse_unasked_code(path, own, user)
    for key, file in own.get("task", {}).items():
        if _names_a_file(key, file):
            own["task"][key] = str(path.parent / Path(file).expanduser())
    below, left_out = _for_task(defaults.settings, own, user)
    config = _with_absolute_paths(resolve(below, own, user), defaults.not_to_train)
    return Source(path.stem, str(path), config, {}, (*defaults.notes, *left_out))


def _for_task(settings: Settings, *layers: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The settings of a data set, less those for its usual task where the layers over it choose another, and
    a note on what was left out."""
    usual = settings.get("task", {}).get("name", TaskConfig().name)
    names = [layer["task"]["name"] for layer in layers if "name" in layer.get("task", {})]
    chosen = [TaskConfig(name=name).name for name in names]
    if chosen[-1:] in ([], [usual]):
        return settings, ()
    kept = {section: dict(values) for section, values in settings.items() if section != "task"}
    left_out = [f"task.{key}" for key in settings.get("task", {}) if key != "name"]
    if kept.get("train", {}).pop("best_metric", None) is not None:
        left_out.append("train.best_metric")
    note = f"task.name={chosen[-1]}: without {listed(left_out)}, which are set for {usual} here"
    return kept, (note,) if left_out else ()


def _names_a_file(option: str, value: object) -> bool:
    """Whether a task's option is a path: by its name, so that no task's code runs to find out."""
    return option.endswith("_file") and isinstance(value, str)


def _with_absolute_paths(config: Config, not_to_train: str = "") -> Config:
    """The same settings, readable from any folder: a run may be resumed from elsewhere."""
    data = {
        split: os.path.abspath(Path(file).expanduser())
        for split in SPLITS
        if (file := getattr(config.data, split)) and file != MEMORY
    }
    if data.get("train") is None:
        raise ConfigError(
            not_to_train or "there is nothing to train on: give a data file as SOURCE, or data.train=FILE"
        )
    sections: dict[str, Any] = {"data": config.data.model_copy(update=data)}
    for section, key in (*_CODE, ("model", "name")):
        now = sections.get(section, getattr(config, section))
        path = Path(getattr(now, key)).expanduser()
        if path.suffix == ".py" or os.path.isdir(path):
            sections[section] = now.model_copy(update={key: os.path.abspath(path)})
    sections["task"] = sections.get("task", config.task).model_copy(
        update={
            key: os.path.abspath(Path(file).expanduser())
            for key, file in config.task.options.items()
            if _names_a_file(key, file)
        }
    )
    return config.model_copy(update=sections)


def _memory_tables(source: object, labels: Sequence[object] | None) -> dict[str, Table]:
    if labels is not None:
        source = source.tolist() if hasattr(source, "tolist") else source  # a column of a data frame
        if not isinstance(source, Sequence):
            raise DataError(f"labels go with a list of texts, not with a {type(source).__name__}")
        return {"train": table_from_lists(source, labels)}
    if isinstance(source, Mapping) and "train" in source:
        unknown = sorted(set(source) - set(SPLITS))
        if unknown:
            raise DataError(f'the data has a split "{unknown[0]}"; bertune knows train, validation and test')
        return {split: table_of(data, f"{MEMORY}/{split}") for split, data in source.items()}
    return {"train": table_of(source, MEMORY)}
