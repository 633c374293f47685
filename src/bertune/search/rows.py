"""The rows that trials train on and are scored on: read and tokenized once, always without the test rows."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from bertune.config import Config, CrossValidateConfig, DecideConfig, GateConfig
from bertune.errors import ConfigError, DataError
from bertune.files import to_json
from bertune.nn.blocks import freeze
from bertune.saved_model import new_model
from bertune.search.space import Space, shown, with_params
from bertune.source import Source
from bertune.text.sequences import Sequence as TextSequence
from bertune.training.folds import Folds, make_folds
from bertune.training.preparing import Fitted, Prepared, encode, fingerprint, fit_task, tokenize
from bertune.training.reading import Tables, read
from bertune.training.splitting import CALIBRATION, Splits, split

_MOST_KEPT = 2  # versions of the rows in memory: trials rarely differ in what is read and tokenized
_UNSCORED = ("test", CALIBRATION)  # splits that the search does not use
Number = tuple[int, int] | None  # repetition and fold; None for the single split


@dataclass
class Version:
    """The rows as some settings of [data], [model] and [task] read them."""

    tables: Tables  # without a test table
    fitted: Fitted
    splits: Splits  # without the test and calibration rows
    folds: Folds | None  # of the training rows that are not test rows
    tokens: dict[str, list[TextSequence]] = field(default_factory=dict)
    prepared: dict[Number, Prepared] = field(default_factory=dict)

    def scored(self) -> list[Any]:
        """The identity of the rows on which trials are scored, in order."""
        if self.folds is not None:
            return [list(of_row) for of_row in self.folds.of_row]
        table, rows = self.splits.rows["validation"]
        return [str(self.tables.examples[table][row].origin) for row in rows]


class SearchRows:
    """The rows of a search, in the versions that its trials need."""

    def __init__(self, source: Source, num_folds: int) -> None:
        self._source = source
        self._num_folds = num_folds
        self._versions: dict[str, Version] = {}

    def version(self, config: Config) -> Version:
        """The rows as these settings read them. Raises InputError."""
        key = _key(config)
        found = self._versions.pop(key, None)
        if found is None:
            while len(self._versions) >= _MOST_KEPT:
                self._versions.pop(next(iter(self._versions)))
            found = _read(replace(self._source, config=config), self._num_folds)
        self._versions[key] = found  # the most recently used one is last
        return found

    def numbers(self, config: Config) -> list[Number]:
        """The runs of a trial: one, or one for each fold."""
        folds = self.version(config).folds
        return [None] if folds is None else [*folds.numbers()]

    def prepared(self, config: Config, number: Number) -> Prepared:
        """The rows of one run of a trial, encoded. Raises InputError."""
        version = self.version(config)
        if number not in version.prepared:
            splits = version.splits
            tables, fitted = splits.tables, version.fitted
            if number is not None and version.folds is not None:
                splits = _without(version.folds.splits(*number), (CALIBRATION,))
                tables = splits.tables
            version.tokens = version.tokens or tokenize(tables, fitted)
            version.prepared[number] = encode(splits, fitted, version.tokens)
        return replace(version.prepared[number], config=config)

    def refuse_unusable(self, space: Space, config: Config) -> None:
        """Raise ConfigError or DataError for values of the space that settings accept, but not these data.

        Every choice, and both ends of every range, are tried by themselves. Nothing is trained.
        """
        scored = self.version(config).scored()
        for key, dimension in space.dimensions.items():
            for value in dimension.ends:
                try:
                    self._refuse_value(key, with_params(config, {key: value}), scored)
                except (ConfigError, DataError) as error:
                    kind = type(error) if type(error) in (ConfigError, DataError) else ConfigError
                    raise kind(f"tune.space.{key}={shown(value)}: {error}") from error

    def _refuse_value(self, key: str, config: Config, scored: list[Any]) -> None:
        section = key.partition(".")[0]
        if section not in ("data", "model", "task") and key not in ("train.batch_size", "train.freeze"):
            return
        version = self.version(config)
        if version.scored() != scored:
            raise ConfigError(
                "with this value, other rows are held out for validation, so scores cannot be compared. Set "
                "data.validation to a file, or do not search this setting"
            )
        tables = replace(version.tables, config=config)
        fitted = fit_task(tables)
        first = {name: examples[:1] for name, examples in tables.examples.items()}
        tokenize(replace(tables, examples=first), fitted)
        if section == "model" or key == "train.freeze":
            with torch.random.fork_rng(devices=[]):
                freeze(new_model(fitted.pretrained, config.model, fitted.task), config.train.freeze)


def trial_config(config: Config) -> Config:
    """The settings of a trial: one seed, without anything that only the final model needs.

    The split depends on `train.seed` before the search, even if the seed is searched.
    """
    train = {"seeds": 1, "refit": False, "baselines": False}
    seed = config.train.seed if config.data.split_seed is None else config.data.split_seed
    return config.model_copy(
        update={
            "train": config.train.model_copy(update=train),
            "data": config.data.model_copy(update={"split_seed": seed}),
            "gate": GateConfig(),
        }
    )


def rows_sha256(version: Version) -> str:
    """The sha256 of the examples and of the rows that are scored; test rows do not count."""
    tables = version.tables.examples
    parts = [
        f"{name} {fingerprint(examples)}"
        for name, examples in tables.items()
        if name in ("train", "validation")
    ]
    return fingerprint_of(
        [*parts, version.folds.of_row if version.folds else version.splits.rows["validation"]]
    )


def fingerprint_of(value: Any) -> str:
    """The sha256 of plain JSON."""
    return hashlib.sha256(to_json(value, indent=None, default=list).encode()).hexdigest()


def _key(config: Config) -> str:
    """The settings that determine how rows are read, split and encoded."""
    sections = {
        "data": config.data.model_dump(mode="json"),
        "model": config.model.model_dump(mode="json", exclude={"dropout"}),
        "task": config.task.model_dump(mode="json"),
        "train": config.train.model_dump(mode="json", include={"max_examples"}),
    }
    return to_json(sections, indent=None)


def _read(source: Source, num_folds: int) -> Version:
    everything = read(source)
    fitted = fit_task(everything)
    every = split(everything)
    tables = replace(everything, examples={k: v for k, v in everything.examples.items() if k != "test"})
    splits = replace(_without(every, _UNSCORED), tables=tables)
    if not num_folds:
        return Version(tables, fitted, splits, None)
    table, held_out = every.rows.get("test", ("test", ()))
    rest = _without_rows(tables, set(held_out)) if table == "train" else tables
    try:
        folds = make_folds(_folding(rest, num_folds))
    except (ConfigError, DataError) as error:
        text = str(error).replace("cross_validate.folds", "tune.folds")  # the setting that applies here
        raise type(error)(text) from error
    for number in folds.numbers():  # reports a fold that cannot be scored before the first is trained
        fitted.task.for_scoring(folds.splits(*number).examples()["test"])
    return Version(tables, fitted, splits, folds)


def _folding(tables: Tables, num_folds: int) -> Tables:
    config = tables.config
    decide = DecideConfig(calibration="none")  # so that no rows of a fold are kept for calibration
    seed = config.train.seed if config.data.split_seed is None else config.data.split_seed
    update = {
        "cross_validate": CrossValidateConfig(folds=num_folds),
        "decide": decide,
        "train": config.train.model_copy(update={"seed": seed}),
    }
    return replace(tables, config=config.model_copy(update=update))


def _without(splits: Splits, names: tuple[str, ...]) -> Splits:
    return replace(splits, rows={name: rows for name, rows in splits.rows.items() if name not in names})


def _without_rows(tables: Tables, dropped: set[int]) -> Tables:
    """The tables without some training rows."""
    examples = tables.examples["train"]
    kept = [row for row in range(len(examples)) if row not in dropped]

    def with_train(by_table: Mapping[str, Any], value: Any) -> dict[str, Any]:
        return {**by_table, "train": value}

    columns = {name: values[np.asarray(kept)] for name, values in tables.others.get("train", {}).items()}
    keys = tables.keys
    return replace(
        tables,
        examples=with_train(tables.examples, [examples[row] for row in kept]),
        keys=with_train(keys, keys["train"].of(kept)) if "train" in keys else keys,
        others=with_train(tables.others, columns),
        kept=None,
    )
