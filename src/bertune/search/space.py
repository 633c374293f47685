"""The space of a search: ranges and choices for settings, parsed from text and validated as settings.

`LOW..HIGH` is a range: of whole numbers if the setting takes only these, otherwise of any numbers. If the
ends are positive and HIGH is at least 10 times LOW, numbers are drawn on a log scale. `LOW..HIGH:log` and
`LOW..HIGH:linear` choose the scale, and `LOW..HIGH:STEP` a grid. `A,B,C` or a TOML list are choices.
"""

import itertools
import math
import os
import re
import types
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Union, get_args, get_origin

from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from bertune.config import Config, Settings
from bertune.config.tune import flat
from bertune.errors import ConfigError, SettingsError, did_you_mean
from bertune.settings import located, nested, resolve
from bertune.source import Source
from bertune.tasks import make_task

Scalar = str | int | float | bool
Params = Mapping[str, Scalar]  # by setting

# Devlin et al. 2019, appendix A.3: "the following range of possible values to work well across all tasks".
BERT_GRID: dict[str, list[Scalar]] = {
    "train.batch_size": [16, 32],
    "train.lr": [5e-5, 3e-5, 2e-5],
    "train.epochs": [2, 3, 4],
}
SECTIONS = ("data", "model", "task", "train", "optimizer")
# Why other settings of these sections cannot be searched.
_ROWS = "it determines which rows are scored, so the scores of different values cannot be compared"
_AFTER = "it does not change the score that the search compares"
_REFUSED = {
    "train.max_examples": _ROWS,
    "train.best_metric": "it determines the score that the search compares",
    "train.seeds": "set it, and the best settings are trained with that many seeds",
    "train.refit": "set it, and the model of the best settings is trained again on all rows",
    "train.checkpoint_every": _AFTER,
    "train.baselines": _AFTER,
    "task.name": "scores of different tasks cannot be compared",
    "model.head": "a search runs no Python files. Compare two runs with `bertune compare`",
}
_DATA = ("data.text", "data.deduplicate", "data.near_duplicates")
_RANGE = re.compile(r"\s*(?P<low>[^\s.:][^:]*?)\s*\.\.\s*(?P<high>[^\s:]+?)\s*(?::\s*(?P<form>\S+))?\s*")
_LOG_RATIO = 10  # the ends of a range differ in magnitude, so its numbers are compared by ratio
_MOST_LISTED = 10_000  # combinations; with more, the sampler practically never repeats one


@dataclass(frozen=True)
class Choices:
    """A list of values, without an order."""

    values: tuple[Scalar, ...]

    def __contains__(self, value: object) -> bool:
        return value in self.values

    def __str__(self) -> str:
        return ", ".join(shown(value) for value in self.values)

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The values that are checked before the search: all of them."""
        return self.values

    @property
    def listed(self) -> tuple[Scalar, ...] | None:
        """All values, if their number is finite."""
        return self.values

    @property
    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        return CategoricalDistribution(self.values)

    def at(self, share: float) -> Scalar:
        """The value at a share of the way through the list, from 0 to below 1."""
        return self.values[int(share * len(self.values))]


@dataclass(frozen=True)
class Range:
    """All numbers between two ends, which are included."""

    low: float
    high: float
    is_whole: bool
    is_log: bool
    step: float | None = None

    def __contains__(self, value: object) -> bool:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not self.low <= value <= self.high
        ):
            return False
        return self.listed is None or any(math.isclose(float(one), value) for one in self.listed)

    def __str__(self) -> str:
        numbers = "whole numbers" if self.is_whole and self.step in (None, 1) else "numbers"
        step = f" in steps of {shown(self.step)}" if self.step not in (None, 1) else ""
        scale = ", log scale" if self.is_log else ""
        return f"{numbers} from {shown(self.low)} to {shown(self.high)}{step}{scale}"

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """The values that are checked before the search."""
        return (self._typed(self.low), self._typed(self.high))

    @property
    def listed(self) -> tuple[Scalar, ...] | None:
        """All values, if their number is finite."""
        step = self.step or (1 if self.is_whole else None)
        if step is None:
            return None
        count = math.floor((self.high - self.low) / step + 1e-9) + 1  # 1e-9: rounding of decimal steps
        return tuple(self._typed(self.low + number * step) for number in range(count))

    @property
    def distribution(self) -> BaseDistribution:
        """The same for Optuna."""
        if self.is_whole:
            return IntDistribution(int(self.low), int(self.high), log=self.is_log, step=int(self.step or 1))
        return FloatDistribution(self.low, self.high, log=self.is_log, step=self.step)

    def at(self, share: float) -> Scalar:
        """The number at a share of the way from the low to the high end, from 0 to below 1."""
        if self.listed is not None and not self.is_log:
            return self.listed[int(share * len(self.listed))]
        ratio = self.high / self.low if self.is_log else 1.0
        value = self.low * ratio**share if self.is_log else self.low + share * (self.high - self.low)
        return round(value) if self.is_whole else value

    def _typed(self, value: float) -> Scalar:
        return int(value) if self.is_whole else float(f"{value:.12g}")  # without rounding of decimal steps


Dimension = Choices | Range


@dataclass(frozen=True)
class Space:
    """The search space: a range or a list of choices for each setting."""

    dimensions: Mapping[str, Dimension]
    given: Mapping[str, Any] = field(default_factory=dict)  # as written by the user, or the default

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The dimensions for Optuna, by setting."""
        return {key: one.distribution for key, one in self.dimensions.items()}

    @property
    def size(self) -> int | None:
        """The number of combinations; None if it is not finite."""
        listed = [one.listed for one in self.dimensions.values()]
        return math.prod(len(one) for one in listed if one is not None) if None not in listed else None

    def combinations(self) -> Iterator[Params]:
        """All combinations, if there are few enough to list them; otherwise none."""
        if self.size is None or self.size > _MOST_LISTED:
            return
        listed = [one.listed or () for one in self.dimensions.values()]
        for values in itertools.product(*listed):
            yield dict(zip(self.dimensions, values, strict=True))

    def at(self, shares: Sequence[float]) -> Params:
        """The combination at a point of the unit cube, with a coordinate for each setting."""
        pairs = zip(self.dimensions.items(), shares, strict=True)
        return {key: one.at(share) for (key, one), share in pairs}

    def defaults(self, config: Config) -> Params | None:
        """The values of the settings without the search; None if they are not in the space."""
        found = {key: _value(config, key) for key in self.dimensions}
        is_inside = all(value in self.dimensions[key] for key, value in found.items())
        return {key: _as_drawn(self.dimensions[key], v) for key, v in found.items()} if is_inside else None


def read_space(source: Source) -> tuple[Space, tuple[str, ...]]:
    """The space in `tune.space`, or the grid of the BERT paper without the settings that the user has set.

    Returns it with notes. Raises SettingsError with all problems: unknown settings, values that a setting
    does not accept, and ranges for settings that are not numbers.
    """
    given, config = source.config.tune.space, source.config
    notes: list[str] = []
    if not given:
        is_set = [key for key in BERT_GRID if key.partition(".")[2] in config.train.model_fields_set]
        given = {key: values for key, values in BERT_GRID.items() if key not in is_set}
        if not given:
            raise ConfigError(
                f"nothing to search: {', '.join(is_set)} are set, and the default search covers only these. "
                "Remove one of them, or name what to search, such as tune.space.train.lr=1e-5..1e-4"
            )
        notes += [f"{key}={shown(_value(config, key))} is set, so it is not searched" for key in is_set]
    problems: list[tuple[str, str]] = []
    dimensions: dict[str, Dimension] = {}
    for key, value in given.items():
        try:
            dimensions[key] = _dimension(config, key, value)
        except SettingsError as error:
            problems += [(f"tune.space.{key}", f"tune.space.{key}: {text}") for _, text in error.problems]
        except ConfigError as error:
            problems.append((f"tune.space.{key}", f"tune.space.{key}: {error}"))
    if problems:
        of_file: Settings = {"tune": dict(flat(source.of_file.get("tune", {})))}
        if source.file is None:
            raise SettingsError(problems)
        with located(source.file, of_file):
            raise SettingsError(problems)
    return Space(dimensions, given), tuple(notes)


def with_params(config: Config, params: Params) -> Config:
    """The settings with some values replaced. Raises SettingsError."""
    changed: Settings = {}
    for section, values in nested(params).items():
        changed[section] = getattr(config, section).model_dump(exclude_unset=True) | values
    new = resolve(changed)
    return config.model_copy(update={section: getattr(new, section) for section in changed})


def shown(value: object) -> str:
    """A value as written on the command line."""
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _dimension(config: Config, key: str, value: Any) -> Dimension:
    """Parse and validate one dimension. Raises ConfigError."""
    _refuse_unsearchable(config, key)
    if isinstance(value, str) and (found := _RANGE.fullmatch(value)):
        return _range(config, key, found)
    return _choices(config, key, value)


def _refuse_unsearchable(config: Config, key: str) -> None:
    section, _, name = key.partition(".")
    if section not in Config.model_fields or not name:
        raise ConfigError(
            f"expected a setting, such as tune.space.train.lr, got {key}.{did_you_mean(section, SECTIONS)}"
        )
    if section not in SECTIONS:
        raise ConfigError(
            f"settings of [{section}] cannot be searched: they do not change how a model is trained"
        )
    if section != "task" and name not in getattr(Config(), section).model_fields_set | _fields(
        config, section
    ):
        resolve({section: {name: ""}})  # raises an error with the setting that was probably meant
    reason = _REFUSED.get(key) or (_ROWS if section == "data" and key not in _DATA else None)
    if reason is not None:
        raise ConfigError(f"this setting cannot be searched: {reason}")


def _fields(config: Config, section: str) -> set[str]:
    return set(type(getattr(config, section)).model_fields)


def _range(config: Config, key: str, found: re.Match[str]) -> Range:
    kind = _number_kind(config, key)
    text = found[0].strip()
    if kind is None:
        raise ConfigError(f"{text} is a range, but this setting is not a number. List choices, such as A,B")
    low, high = (_number(end, kind, text) for end in (found["low"], found["high"]))
    if not low < high:
        raise ConfigError(f"{text}: the first number of a range must be less than the second")
    form, step = found["form"], None
    is_log = form == "log" or (form is None and low > 0 and high / low >= _LOG_RATIO)
    if form not in (None, "log", "linear"):
        step = _number(form, kind, text)
        if not 0 < step <= high - low:
            raise ConfigError(f"{text}: the step must be greater than 0 and at most {shown(high - low)}")
        high = low + math.floor((high - low) / step + 1e-9) * step  # the last number of the grid
    if is_log and low <= 0:
        raise ConfigError(f"{text}: a log scale needs numbers greater than 0")
    one = Range(low, float(f"{high:.12g}"), kind is int, is_log, step)
    for end in one.ends:
        with_params(config, {key: end})
    return one


def _number(text: str, kind: type, whole: str) -> float:
    try:
        value = kind(text)
    except ValueError:
        raise ConfigError(
            f'{whole}: "{text}" is not a {"whole number" if kind is int else "number"}. Expected LOW..HIGH, '
            "LOW..HIGH:log, LOW..HIGH:linear or LOW..HIGH:STEP"
        ) from None
    if not math.isfinite(value):
        raise ConfigError(f"{whole}: {text} is not finite")
    return float(value)


def _choices(config: Config, key: str, value: Any) -> Choices:
    if isinstance(value, str):
        parts: list[Any] = [part.strip() for part in value.split(",")]
    else:
        parts = list(value) if isinstance(value, list | tuple) else [value]
    if any(part == "" or not isinstance(part, str | int | float) for part in parts):
        raise ConfigError(f"expected LOW..HIGH, or values separated by commas, got {value!r}")
    values = []
    for part in parts:
        if key == "model.name" and os.path.isdir(part):
            part = os.path.abspath(part)  # as for model.name itself: the search may be resumed from elsewhere
        parsed = _value(with_params(config, {key: part}), key)
        values.append(parsed if isinstance(parsed, Scalar) else part)
    distinct = tuple(dict.fromkeys(values))
    if len(distinct) < 2:
        raise ConfigError(
            f"only one value, {shown(values[0])}. Set {key}={shown(values[0])} instead of searching it"
        )
    return Choices(distinct)


def _value(config: Config, key: str) -> Any:
    """The value of a setting. Raises ConfigError for an unknown option of the task."""
    section, _, name = key.partition(".")
    if section != "task":
        return getattr(getattr(config, section), name)
    return getattr(make_task(config.task).options, name)


def _as_drawn(dimension: Dimension, value: Any) -> Scalar:
    """A value as the sampler would draw it: the equal value of the space."""
    for one in dimension.listed or ():
        if one == value or (isinstance(one, float) and math.isclose(one, value)):
            return one
    return float(value) if isinstance(dimension, Range) and not dimension.is_whole else value


def _number_kind(config: Config, key: str) -> type | None:
    """int or float if a setting is a number, otherwise None. Raises ConfigError for an unknown option."""
    section, _, name = key.partition(".")
    options = make_task(config.task).options if section == "task" else getattr(config, section)
    if name not in type(options).model_fields:
        _value(with_params(config, {key: "0"}), key)  # raises an error with the options that the task has
    members = set(_members(type(options).model_fields[name].annotation))
    return float if float in members else int if int in members else None


def _members(annotation: Any) -> Iterator[Any]:
    if get_origin(annotation) in (Union, types.UnionType):
        for member in get_args(annotation):
            yield from _members(member)
    else:
        yield annotation
