"""Resolve SOURCE: a data file or folder, a named data set, a settings file, a run folder or a table."""

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertune.config import Config, Settings, TaskConfig, fraction_in
from bertune.data import named
from bertune.data.folders import splits_in
from bertune.data.memory import MEMORY, table_from_lists, table_of
from bertune.data.tables import Table, refuse_long_name
from bertune.errors import ConfigError, DataError, did_you_mean, listed
from bertune.files import as_path, shown_path
from bertune.run import CONFIG, stored_settings, verify_config
from bertune.settings import line_of, located, nested, read_toml, resolve, settings_of

SPLITS = ("train", "validation", "calibration", "test")
_CODE = (
    ("task", "name"),
    ("model", "head"),
    ("data", "reader"),
)  # settings that may name a Python file of the user


@dataclass(frozen=True)
class Source:
    """The resolved settings of a source, and its tables if the data is in memory."""

    name: str  # for the run folder: "cola", "reviews"
    given: str  # as given by the user
    config: Config
    tables: Mapping[str, Table]  # by split, for data passed from Python
    notes: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)  # the data files by split, as the user wrote them
    file: Path | None = None  # the settings file, or config.toml of the run
    of_file: Settings = field(
        default_factory=dict
    )  # the settings of this file that the user does not override

    def locating(self) -> AbstractContextManager[None]:
        """Errors about settings of the file name the file and the line."""
        return contextlib.nullcontext() if self.file is None else located(self.file, self.of_file)


@dataclass(frozen=True)
class Request:
    """The arguments that `bertune.cross_validate` and `bertune.tune` have in common."""

    source: object
    labels: Sequence[object] | None = None
    settings: Mapping[str, Any] | None = None
    out: str | Path | None = None
    resume: bool = False

    def resolved(self, ending: str, is_resumable: Callable[[Path], bool]) -> tuple[Source, Path]:
        """The source, and the folder to write: by default runs/NAME-ENDING, or the source to resume.

        Raises InputError.
        """
        given = None if self.out is None else as_path(self.out, "out")
        if given is None and self.resume and isinstance(self.source, str | Path):
            given = Path(self.source) if is_resumable(Path(self.source)) else None
        found = resolve_source(self.source, self.settings, self.labels)
        return found, Path(os.path.abspath(given or Path("runs") / f"{found.name}-{ending}"))


def resolve_source(
    source: object, settings: Mapping[str, Any] | None, labels: Sequence[object] | None = None
) -> Source:
    """Resolve a SOURCE and the settings of the user. Raises ConfigError, DataError."""
    resolved = _resolved(source, settings, labels)
    for key in sorted(resolved.config.predict.model_fields_set):
        raise ConfigError(
            f"predict.{key} applies to `bertune predict` and `bertune evaluate --out`; training does not use "
            "it. Remove it here"
        )
    return resolved


def _resolved(source: object, settings: Mapping[str, Any] | None, labels: Sequence[object] | None) -> Source:
    user = nested(settings)
    if isinstance(source, str | Path):
        if labels is not None:
            raise ConfigError(
                "labels can only be passed with a list of texts. For a file, set data.label to a column"
            )
        return _from_name(str(source), user)
    tables = _memory_tables(source, labels)
    clash = sorted(set(tables) & set(user.get("data", {})))
    if clash:
        raise ConfigError(
            f"data.{clash[0]} is given twice: as data in memory and as a setting. Remove one of them"
        )
    config = resolve({"data": dict.fromkeys(tables, MEMORY)}, user)
    return Source("memory", MEMORY, config, tables)


def _from_name(source: str, user: Settings) -> Source:
    path = Path(source).expanduser()
    refuse_long_name(path)
    if source in named.names():
        defaults = named.defaults(source, given=user.get("data", {}))
        below, left_out = _for_task(defaults.settings, user)
        config = resolve(below, user)
        return Source(
            source,
            source,
            _with_absolute_paths(config, defaults.not_to_train),
            {},
            (*defaults.notes, *left_out),
            _files(config),
        )
    if path.suffix == ".toml" and path.is_file():
        return _from_toml(path, user)
    if (path / CONFIG).is_file():
        verify_config(path)
        stored = stored_settings(path)
        of_file = _not_overridden(stored, user)
        with located(path / CONFIG, of_file):
            config = resolve(stored, user)
        if config.data.train is None:
            raise ConfigError(
                f"{path / CONFIG} is damaged: data.train is missing. Restore the file from a copy"
            )
        if config.data.train == MEMORY:
            raise ConfigError(
                f"{path} was trained on data passed from Python, which the run does not contain. "
                "Continue with bertune.train(data, out=…, resume=True)"
            )
        _refuse_unasked_code(path, config.to_settings(), user)
        files = {split: shown_path(file) for split, file in _files(config).items()}
        return Source(path.name, source, config, {}, files=files, file=path / CONFIG, of_file=of_file)
    if not path.exists() and not path.suffix:
        raise DataError(
            f'"{source}" is neither a file, a run folder nor a named data set.'
            f"{did_you_mean(source, named.names())} "
            "`bertune datasets` lists the named data sets"
        )
    splits = splits_in(path) if path.is_dir() else {}
    settings: Settings = {"data": splits or {"train": source}}
    config = resolve(settings, user)
    notes = tuple(f"{split}: {place}" for split, place in splits.items() if split not in user.get("data", {}))
    name = path.resolve().name if path.is_dir() else path.name
    return Source(name.split(".")[0], source, _with_absolute_paths(config), {}, notes, _files(config))


def _refuse_unasked_code(path: Path, own: Settings, user: Settings) -> None:
    """Raise ConfigError if a settings file or a run names a Python file that the user did not name.

    Such files are shared between people, and reading settings must not run code.
    """
    for section, key in (*_CODE, ("track", "to")):
        name = next((name for name in _names(own.get(section, {}).get(key)) if name.endswith(".py")), "")
        if name and key not in user.get(section, {}):
            raise ConfigError(
                f"{path}: {section}.{key} names a Python file, {name}. bertune runs it only if you name it "
                f"too. Review it. If you trust it, add {section}.{key}={name} to the command (or settings=)"
            )


def _rebase_trackers(path: Path, own: Settings) -> None:
    """Make the tracker files that a settings file names relative to that file."""
    if "to" in own.get("track", {}):
        trackers = _names(own["track"]["to"])
        own["track"]["to"] = [str(path.parent / n) if n.endswith(".py") else n for n in trackers]


def _names(value: object) -> list[str]:
    """The names in a setting that takes one, or several as a list or separated by commas."""
    parts = value if isinstance(value, list | tuple) else str(value or "").split(",")
    return [str(part).strip() for part in parts if str(part).strip()]


def _from_toml(path: Path, user: Settings) -> Source:
    tables = read_toml(path)
    base = tables.pop("source", None)
    if base is not None and not (isinstance(base, str) and named.is_known(base)):
        raise ConfigError(
            f"{path}{line_of(path, 'source')}: source = {base!r} is not a named data set or recipe."
            f"{did_you_mean(str(base), named.names())} "
            "`bertune datasets` lists the named data sets"
        )
    own = settings_of(path, tables)
    given = {*own.get("data", {}), *user.get("data", {})}
    defaults = named.defaults(base, given=given) if base is not None else named.Defaults({})
    for split in SPLITS:
        # A path in a settings file is relative to that file, not to the working directory.
        file = own.get("data", {}).get(split)
        if fraction_in(file) is not None:
            continue  # refused below
        if file is not None and not isinstance(file, str):
            raise ConfigError(f"{path}: data.{split} must be a file name, got {file!r}")
        if file:
            own["data"][split] = str(path.parent / file)
    for section, key in (*_CODE, ("model", "name")):
        beside = path.parent / str(own.get(section, {}).get(key, ""))
        if own.get(section, {}).get(key) and _is_path((section, key), beside):
            own[section][key] = str(beside)
    _rebase_trackers(path, own)
    _refuse_unasked_code(path, own, user)
    for key, file in own.get("task", {}).items():
        if _names_a_file(key, file):
            own["task"][key] = str(path.parent / Path(file).expanduser())
    below, left_out = _for_task(defaults.settings, own, user)
    of_file = _not_overridden(own, user)
    with located(path, of_file):
        resolved = resolve(below, own, user)
    config = _with_absolute_paths(resolved, defaults.not_to_train)
    notes = (*defaults.notes, *left_out)
    return Source(path.stem, str(path), config, {}, notes, _files(resolved), path, of_file)


def _files(config: Config) -> dict[str, str]:
    """The data files by split, with ~ expanded."""
    files = {split: getattr(config.data, split) for split in SPLITS}
    return {split: str(Path(file).expanduser()) for split, file in files.items() if file and file != MEMORY}


def _not_overridden(settings: Settings, user: Settings) -> Settings:
    """The settings of a file without those that the user overrides."""
    return {
        section: {key: value for key, value in values.items() if key not in user.get(section, {})}
        for section, values in settings.items()
    }


def _for_task(settings: Settings, *layers: Settings) -> tuple[Settings, tuple[str, ...]]:
    """The settings of a data set, and a note on the settings that were left out.

    If a higher layer selects another task than the default of the data set, the task-specific settings of the
    data set do not apply.
    """
    usual = settings.get("task", {}).get("name", TaskConfig().name)
    names = [layer["task"]["name"] for layer in layers if "name" in layer.get("task", {})]
    chosen = [TaskConfig(name=name).name for name in names]
    if chosen[-1:] in ([], [usual]):
        return settings, ()
    kept = {section: dict(values) for section, values in settings.items() if section != "task"}
    left_out = [f"task.{key}" for key in settings.get("task", {}) if key != "name"]
    if kept.get("train", {}).pop("best_metric", None) is not None:
        left_out.append("train.best_metric")
    note = f"task.name={chosen[-1]}: ignored {listed(left_out)}, which the data set defines for {usual}"
    return kept, (note,) if left_out else ()


def _names_a_file(option: str, value: object) -> bool:
    """Whether a task option is a path, judged by its name so that no code of a task runs."""
    return option.endswith("_file") and isinstance(value, str)


def _is_path(setting: tuple[str, str], value: Path) -> bool:
    """Whether the value of a setting in `_CODE`, or of model.name, is a path.

    Only an encoder can be a folder: a run folder may have the name of its task.
    """
    return value.suffix == ".py" or (setting == ("model", "name") and os.path.isdir(value))


def _with_absolute_paths(config: Config, not_to_train: str = "") -> Config:
    """The settings with absolute paths, because a run may be resumed from another folder."""
    data = {split: os.path.abspath(file) for split, file in _files(config).items()}
    if data.get("train") is None:
        raise ConfigError(
            not_to_train or "no training data. Pass a data file as SOURCE, or set data.train=FILE"
        )
    sections: dict[str, Any] = {"data": config.data.model_copy(update=data)}
    for section, key in (*_CODE, ("model", "name")):
        now = sections.get(section, getattr(config, section))
        path = Path(getattr(now, key)).expanduser()
        if _is_path((section, key), path):
            sections[section] = now.model_copy(update={key: os.path.abspath(path)})
    sections["task"] = sections.get("task", config.task).model_copy(
        update={
            key: os.path.abspath(Path(file).expanduser())
            for key, file in config.task.options.items()
            if _names_a_file(key, file)
        }
    )
    trackers = [os.path.abspath(Path(n).expanduser()) if n.endswith(".py") else n for n in config.track.to]
    sections["track"] = config.track.model_copy(update={"to": tuple(trackers)})
    return config.model_copy(update=sections)


def _memory_tables(source: object, labels: Sequence[object] | None) -> dict[str, Table]:
    if labels is not None:
        source = source.tolist() if hasattr(source, "tolist") else source  # a column of a data frame
        if not isinstance(source, Sequence):
            raise DataError(
                f"labels can only be passed with a list of texts, got a {type(source).__name__}. Pass a list "
                "of texts, or set data.label to a column"
            )
        return {"train": table_from_lists(source, labels)}
    if isinstance(source, Mapping) and "train" in source:
        unknown = sorted(set(source) - set(SPLITS))
        if unknown:
            raise DataError(
                f'unknown split "{unknown[0]}". The splits are train, validation, calibration and test'
            )
        return {split: table_of(data, f"{MEMORY}/{split}") for split, data in source.items()}
    return {"train": table_of(source, MEMORY)}
