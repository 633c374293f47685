"""Read settings from TOML files, dictionaries and `key=value` pairs, and validate them as a Config.

All problems with the settings are reported in one error.
"""

import contextlib
import difflib
import re
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from bertune.config import Config, Settings
from bertune.errors import ConfigError, SettingsError, listed
from bertune.files import read_bytes
from bertune.renamed import SETTINGS


def read_toml(path: Path) -> dict[str, Any]:
    """Read the tables of a TOML settings file. Raises ConfigError with the file and the position."""
    try:
        return tomllib.loads(read_bytes(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}. Note that strings need quotes") from error
    except OSError as error:
        raise ConfigError(
            f"cannot read the settings file {path}: {error.strerror}. Check the path and its permissions"
        ) from error


def parse_overrides(pairs: Iterable[str]) -> Settings:
    """Parse `["train.lr=3e-5"]` into nested settings. Values stay strings; validation converts them."""
    settings: Settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(
                f'"{pair}" is not a setting. Write settings as section.key=value, for example train.epochs=3'
            )
        section, dot, name = key.strip().partition(".")
        if not dot:
            raise _unknown([key.strip()])
        settings.setdefault(section, {})[name] = _plain(key.strip(), value.strip() or value)
    return settings


def nested(given: Mapping[str, Any] | None) -> Settings:
    """Convert `{"train.epochs": 3}` or `{"train": {"epochs": 3}}` to nested settings. Raises ConfigError."""
    settings: Settings = {}
    given = {} if given is None else given
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ConfigError(f'settings must be a dict such as {{"train.epochs": 3}}, got {given!r}')
    for key, value in given.items():
        section, dot, name = key.partition(".")
        if dot:
            settings.setdefault(section, {})[name] = value
        elif isinstance(value, Mapping):
            settings.setdefault(section, {}).update(value)
        else:
            raise _unknown([key])
    return settings


def settings_of(path: Path, tables: Mapping[str, Any]) -> Settings:
    """The settings in the tables of the TOML file `path`. Raises ConfigError with the file and the line."""
    try:
        return nested(tables)
    except SettingsError as error:
        problems = [(key, f"{path}{line_of(path, key)}: {text}") for key, text in error.problems]
        raise SettingsError(problems) from error


@contextlib.contextmanager
def located(path: Path, settings: Settings) -> Iterator[None]:
    """Prefix problems with `settings`, which come from the TOML file `path`, with the file and the line."""
    try:
        yield
    except SettingsError as error:
        problems = []
        for key, text in error.problems:
            section, _, name = key.partition(".")
            is_here = name in settings.get(section, {})
            problems.append((key, f"{path}{line_of(path, key)}: {text}" if is_here else text))
        raise SettingsError(problems) from error


def line_of(path: Path, key: str) -> str:
    """The line of a setting in a TOML file, as in ", line 3"; empty if it cannot be found."""
    table = ""
    for number, line in enumerate(read_bytes(path).decode("utf-8").splitlines(), start=1):
        if heading := re.match(r"\s*\[([\w.]+)\]", line):
            table = f"{heading[1]}."
        elif (name := re.match(r"\s*([\w.]+)\s*=", line)) and table + name[1] == key:
            return f", line {number}"
    return ""


def resolve(*layers: Mapping[str, Mapping[str, Any]]) -> Config:
    """Merge layers of settings into a Config; later layers win. Raises ConfigError listing every problem."""
    merged: Settings = {}
    for layer in layers:
        for section, values in layer.items():
            merged.setdefault(section, {}).update(values)
    unknown = [section for section in merged if section not in Config.model_fields]
    keys = [f"{section}.{key}" for section in unknown for key in merged.pop(section)]
    if not keys:
        return validated(Config, merged)
    problems = _unknown(keys).problems
    try:
        validated(Config, merged)
    except SettingsError as error:
        problems += error.problems
    raise SettingsError(problems)


def changed_settings(before: Config, now: Config, free: Collection[str]) -> list[str]:
    """The settings that differ, a phrase for each; those of the sections `free` may differ."""
    old, new = before.to_settings(), now.to_settings()
    return [
        f"{section}.{key} was {old.get(section, {}).get(key)!r} and is now {new[section].get(key)!r}"
        for section in new
        if section not in free
        for key in sorted({*old.get(section, {}), *new[section]})
        if old.get(section, {}).get(key) != new[section].get(key)
    ]


def _unknown(keys: Iterable[str]) -> SettingsError:
    return SettingsError([(key, _unknown_key(key)) for key in keys])


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], settings: Mapping[str, Any], prefix: str = "") -> Model:
    """Validate settings as a `model`. Raises one SettingsError with a line for each wrong setting."""
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        raise SettingsError(_problems(error, prefix, model)) from error


def _problems(error: ValidationError, prefix: str, model: type[BaseModel]) -> list[tuple[str, str]]:
    # A setting of a union type fails once per member: one line then lists everything it accepts.
    unknown: list[tuple[str, str]] = []
    inputs: dict[str, object] = {}
    reasons: dict[str, list[str]] = {}
    for item in error.errors():
        location = [str(part) for part in item["loc"]]
        if item["type"] == "extra_forbidden":
            key = prefix + ".".join(location)
            unknown.append((key, _unknown_key(key, model, prefix)))
            continue
        key = prefix + ".".join(location[:1] if prefix else location[:2])
        inputs.setdefault(key, item["input"])
        reasons.setdefault(key, []).append(_reason(item["msg"]))
    return [
        (key, _wrong_value(key, value, list(dict.fromkeys(reasons[key])))) for key, value in inputs.items()
    ] + unknown


def _wrong_value(key: str, value: object, reasons: list[str]) -> str:
    reason = reasons[0]
    if len(reasons) > 1 and all(text.startswith("must be ") for text in reasons):
        *first, last = (text.removeprefix("must be ") for text in reasons)
        reason = f"must be {', '.join(first).replace(' or ', ', ')} or {last}"
    if reason.startswith("must "):
        return f"{key} {reason}, got {value!r}"
    return f"{key}={value!r}: {reason}"


def _reason(message: str) -> str:
    """A message of pydantic or of a validator as "must be …", where it can be put that way."""
    message = message.removeprefix("Value error, ").removeprefix("it ")
    message = re.sub(r"^(Input|String|Tuple|List|Dictionary|Value) should (be|have) ", r"must \2 ", message)
    message = message.replace("must be a valid boolean", "must be true or false")
    message = message.replace("greater than or equal to", "at least")
    message = message.replace("less than or equal to", "at most")
    message = re.sub(r"^must be a valid ", "must be a ", message)
    message = re.sub(r"^must be a (integer|array)", r"must be an \1", message)
    # Drop how parsing failed: the value is shown.
    message = re.sub(r",? (unable to \w+ |got a number |or instance of |after validation).*", "", message)
    return message


def known_keys() -> list[str]:
    """Every `section.key`, in order of definition."""
    return [
        f"{section}.{key}"
        for section, field in Config.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        for key in field.annotation.model_fields
    ]


def _unknown_key(key: str, model: type[BaseModel] = Config, prefix: str = "") -> str:
    keys = known_keys() if model is Config else [prefix + name for name in model.model_fields]
    section, _, name = key.rpartition(".")
    siblings = [k for k in keys if k.startswith(section + ".")]
    renamed = SETTINGS.get(key) if SETTINGS.get(key) in keys else None
    # In other sections, names such as steps and eps (0.75) are similar by chance.
    if hint := renamed or _same_name(name, keys) or _near_name(name, siblings) or _near_name(name, keys, 0.8):
        return f'unknown setting "{key}". Did you mean "{hint}"?'
    if not siblings and (near := difflib.get_close_matches(section, {k.partition(".")[0] for k in keys}, 1)):
        siblings = [k for k in keys if k.startswith(near[0] + ".")]
    return f'unknown setting "{key}". Known settings: {listed(siblings or keys, 40)}'


def _same_name(name: str, keys: list[str]) -> str | None:
    return next((k for k in keys if k.rpartition(".")[2] == name), None)


def _near_name(name: str, keys: list[str], least: float = 0.6) -> str | None:
    near = difflib.get_close_matches(name, [k.rpartition(".")[2] for k in keys], n=1, cutoff=least)
    return _same_name(near[0], keys) if near else None


def _plain(key: str, value: str) -> Any:
    """A command-line value: parsed as a TOML list if it starts with "[", otherwise the string itself."""
    if value.startswith("["):
        try:
            return tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                f'{key}={value} is not a valid list: {error}. Write lists as ["first", "second"], in quotes '
                "on the command line"
            ) from error
    return value
