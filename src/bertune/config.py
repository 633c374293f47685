"""Owns the settings: closed, frozen sections, read from TOML and `key=value`, all problems said at once."""

import difflib
import math
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar

import tomlkit
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from bertune.errors import ConfigError, listed
from bertune.files import read_bytes
from bertune.renamed import SETTINGS

Auto = Literal["auto"]
Settings = dict[str, dict[str, Any]]

# As json_schema_extra of a task's option: only prediction depends on it, so a trained model takes another.
CHANGEABLE: dict[str, Any] = {"changeable": True}


class Section(BaseModel):
    """A closed, frozen group of settings: an unknown key is an error, not an attribute."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, coerce_numbers_to_str=True)


class DataConfig(Section):
    """Where the texts are and how to read them. Columns are named, or numbered from 0."""

    train: str | None = Field(None, min_length=1, description="file with the training texts")
    validation: str | None = Field(
        None, min_length=1, description="file to validate on; without it a share of train is split off"
    )
    test: str | None = Field(None, min_length=1, description="file that is scored once, at the end")
    text: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="the text column, or two for pairs: question,sentence; more where a task takes them",
    )
    label: str | None = Field(None, description="the label column")
    id: str | None = Field(None, description="a column that names each row in predictions")
    header: bool | Auto = Field("auto", description="whether the first line names the columns")
    delimiter: str = Field("auto", min_length=1, description='what separates cells: ",", "tab", ";" …')
    quoting: bool | Auto = Field("auto", description='whether cells may be wrapped in "…"')
    encoding: str = Field("auto", description="the text encoding; auto is UTF-8 with or without BOM")
    validation_fraction: float = Field(
        0.1, gt=0, lt=1, description="share of train used for validation, spread evenly over classes"
    )
    reader: str = Field("auto", description="a reader by name, or your own reader.py")

    @field_validator("text", mode="before")
    @classmethod
    def _text_columns(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(","))
        if isinstance(value, int):
            return (str(value),)
        if isinstance(value, list | tuple):
            return tuple(str(part) for part in value)
        return value


class ModelConfig(Section):
    """Which encoder, how much of a text it sees, and what sits on it."""

    name: str = Field(
        "google-bert/bert-base-uncased",
        min_length=1,
        description="minilm (packaged), a folder, or a hub name",
    )
    max_length: int | Auto = Field(
        "auto", description="tokens a text may have; auto: all, or the model's limit if that cuts few texts"
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="hidden and attention dropout; default: the model's"
    )
    head: str = Field("auto", description="auto is the task's own head; or your own head.py")

    @field_validator("max_length")
    @classmethod
    def _room_for_special_tokens(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 4:
            raise ValueError("a text needs at least 4 tokens ([CLS], two pieces, [SEP])")
        return value


# Names that are usual for a task, beside its own.
SHORT_NAMES = {"ner": "token_classification", "qa": "question_answering", "mlm": "language_modelling"}


class TaskConfig(BaseModel):
    """What is learned; further keys are the task's own options, checked by the task."""

    model_config = ConfigDict(extra="allow", frozen=True)
    name: str = Field("classification", description="a task by name (or ner, qa, mlm), or your own task.py")

    @field_validator("name")
    @classmethod
    def _in_full(cls, value: str) -> str:
        return SHORT_NAMES.get(value, value)

    @property
    def options(self) -> dict[str, Any]:
        """The task's own options as given, unchecked."""
        return dict(self.__pydantic_extra__ or {})


class TrainConfig(Section):
    """What is computed. The defaults are the BERT paper's (Devlin et al. 2019, appendix A.3)."""

    epochs: float = Field(3, gt=0, description="passes over the training texts")
    batch_size: int = Field(
        32, ge=1, description="examples per optimizer step, however they are fitted in memory"
    )
    lr: float = Field(5e-5, gt=0, description="peak learning rate")
    warmup: float = Field(0.1, ge=0, description="below 1 a share of all steps, else a number of steps")
    weight_decay: float = Field(0.01, ge=0, description="not applied to biases and LayerNorm")
    freeze: Literal["none", "embeddings", "encoder"] | int = Field(
        "none",
        description="none, embeddings, a number of lower layers (with the embeddings), or the encoder",
    )
    seed: int = Field(42, ge=0, lt=2**32, description="decides the split, the order and the dropout")
    patience: int = Field(
        0, ge=0, description="stop after this many evaluations without a better score; 0: never"
    )
    evaluate_every: int | Literal["epoch"] = Field("epoch", description="steps between evaluations")
    checkpoint_every: int | Literal["epoch"] = Field(
        "epoch", description="steps between resumable checkpoints"
    )
    best_metric: str = Field("auto", description="the validation score that picks the weights kept, or loss")
    max_examples: int | None = Field(None, ge=1, description="use only the first N training texts")

    @field_validator("freeze", mode="before")
    @classmethod
    def _freeze(cls, value: object) -> object:
        if isinstance(value, str) and value.isdigit():
            return int(value)
        return "none" if value is None or value is False else value

    @field_validator("freeze")
    @classmethod
    def _some_layers(cls, value: str | int) -> str | int:
        if isinstance(value, int) and value < 1:
            raise ValueError('give a number of layers from 1, or "none"')
        return value

    @field_validator("warmup")
    @classmethod
    def _whole_steps(cls, value: float) -> float:
        if value >= 1 and value != math.floor(value):
            raise ValueError("from 1 on this is a number of steps and must be whole; below 1 it is a share")
        return value

    @field_validator("evaluate_every", "checkpoint_every")
    @classmethod
    def _some_steps(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError('give a number of steps from 1, or "epoch"')
        return value


class OptimizerConfig(Section):
    """AdamW with bias correction (Loshchilov & Hutter 2019)."""

    beta1: float = Field(0.9, ge=0, lt=1, description="decay of the mean of gradients")
    beta2: float = Field(0.999, ge=0, lt=1, description="decay of the mean of squared gradients")
    eps: float = Field(1e-8, gt=0, description="added to the root of the second moment")
    max_grad_norm: float = Field(1.0, ge=0, description="largest gradient norm; 0: no clipping")


class MachineConfig(Section):
    """How it is computed: nothing changes a result beyond rounding but precision and the draws of dropout."""

    device: str = Field("auto", description="auto, cpu, cuda, cuda:1 …")
    precision: Literal["auto", "fp32", "bf16"] = Field(
        "auto",
        description="of matrix products; auto: bf16 where the hardware multiplies it, else fp32",
    )
    micro_batch_tokens: int | Auto = Field("auto", description="tokens per micro-batch; auto: by free memory")
    threads: int | Auto = Field("auto", description="processor threads")

    @field_validator("micro_batch_tokens", "threads")
    @classmethod
    def _positive(cls, value: int | str) -> int | str:
        if isinstance(value, int) and value < 1:
            raise ValueError('give a number from 1, or "auto"')
        return value

    @field_validator("threads")
    @classmethod
    def _startable(cls, value: int | str) -> int | str:
        # The OpenMP runtime ends the process that asks for more than it can start.
        if isinstance(value, int) and value > 1024:
            raise ValueError('give a number up to 1,024, or "auto"')
        return value


class Config(Section):
    """Every setting of a run. Source of truth for the command line, TOML files and Python."""

    data: DataConfig = DataConfig()
    model: ModelConfig = ModelConfig()
    task: TaskConfig = TaskConfig()
    train: TrainConfig = TrainConfig()
    optimizer: OptimizerConfig = OptimizerConfig()
    machine: MachineConfig = MachineConfig()

    def to_settings(self) -> Settings:
        """Nested plain values without the unset ones; `Config.model_validate` takes them back."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_toml(self) -> str:
        """The complete settings as a TOML document that `read_toml` reads back to an equal Config."""
        return tomlkit.dumps(self.to_settings())


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML settings file. Raises ConfigError naming the file and the place."""
    try:
        return tomllib.loads(read_bytes(path).decode("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not a TOML settings file: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read the settings file {path}: {error.strerror}") from error


def parse_overrides(pairs: Iterable[str]) -> Settings:
    """`["train.lr=3e-5"]` as nested settings. Values stay text; the section's types read them."""
    settings: Settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise ConfigError(
                f'"{pair}" is no setting; settings are written section.key=value, as in train.epochs=3'
            )
        section, dot, name = key.strip().partition(".")
        if not dot:
            raise ConfigError(_unknown_key(key.strip()))
        settings.setdefault(section, {})[name] = _plain(value.strip() or value)
    return settings


def nested(given: Mapping[str, Any] | None) -> Settings:
    """`{"train.epochs": 3}` or `{"train": {"epochs": 3}}` as nested settings."""
    settings: Settings = {}
    given = {} if given is None else given
    if not isinstance(given, Mapping) or not all(isinstance(key, str) for key in given):
        raise ConfigError(f'settings must be a dict, as in {{"train.epochs": 3}}, got {given!r}')
    for key, value in given.items():
        section, dot, name = key.partition(".")
        if dot:
            settings.setdefault(section, {})[name] = value
        elif isinstance(value, Mapping):
            settings.setdefault(section, {}).update(value)
        else:
            raise ConfigError(_unknown_key(key))
    return settings


def resolve(*layers: Mapping[str, Mapping[str, Any]]) -> Config:
    """One Config from layers of settings, later ones winning. Raises ConfigError listing every problem."""
    merged: Settings = {}
    for layer in layers:
        for section, values in layer.items():
            merged.setdefault(section, {}).update(values)
    unknown = [section for section in merged if section not in Config.model_fields]
    problems = [_unknown_key(f"{section}.{key}") for section in unknown for key in merged.pop(section)]
    if not problems:
        return validated(Config, merged)
    try:
        validated(Config, merged)
    except ConfigError as error:
        problems.append(str(error))
    raise ConfigError("\n".join(problems))


Model = TypeVar("Model", bound=BaseModel)


def validated(model: type[Model], settings: Mapping[str, Any], prefix: str = "") -> Model:
    """`settings` as a `model`; all that is wrong with them in one ConfigError."""
    try:
        return model.model_validate(settings)
    except ValidationError as error:
        # One setting of a union type fails once per member; the user made one mistake.
        problems = dict.fromkeys(_problem(dict(e), prefix, model) for e in error.errors())
        raise ConfigError("\n".join(_one_per_key(problems))) from error


def _one_per_key(problems: Iterable[str]) -> list[str]:
    by_key: dict[str, str] = {}
    for problem in problems:
        by_key.setdefault(problem.split(":", 1)[0], problem)
    return list(by_key.values())


def _problem(error: dict[str, Any], prefix: str, model: type[BaseModel]) -> str:
    location = [str(part) for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        return _unknown_key(prefix + ".".join(location), model, prefix)
    key = prefix + ".".join(location[:1] if prefix else location[:2])
    allowed = error.get("ctx", {}).get("expected")
    reason = f"it must be {allowed}" if allowed else error["msg"].removeprefix("Value error, ")
    return f"{key}: {error['input']!r} cannot be used here: {reason}"


def known_keys() -> list[str]:
    """Every `section.key` there is, in order."""
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
    hint = renamed or _same_name(name, keys) or _near_name(name, siblings) or _near_name(name, keys)
    if hint:
        return f'there is no setting "{key}". Did you mean "{hint}"?'
    return f'there is no setting "{key}". There are: {listed(siblings or keys, 40)}'


def _same_name(name: str, keys: list[str]) -> str | None:
    return next((k for k in keys if k.rpartition(".")[2] == name), None)


def _near_name(name: str, keys: list[str]) -> str | None:
    near = difflib.get_close_matches(name, [k.rpartition(".")[2] for k in keys], n=1)
    return _same_name(near[0], keys) if near else None


def _plain(value: str) -> Any:
    """A command-line value: a TOML list where it is written as one, otherwise the text itself."""
    if value.startswith("["):
        try:
            return tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{value} is not a list that can be read: {error}") from error
    return value
