"""The settings in [tune]: the search for hyperparameters."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import Field, model_validator

from bertune.config.section import Section

_PREFIX = "space."


class TuneConfig(Section):
    """The search of `bertune tune`. Not used by other commands."""

    space: dict[str, Any] = Field(
        {},
        description="search space: tune.space.SETTING=LOW..HIGH for a range, or A,B,… for choices; "
        "default: the grid of the BERT paper (train.batch_size, train.lr, train.epochs)",
    )
    trials: int = Field(
        20, ge=1, description="number of trials of all processes together, including those stopped early"
    )
    hours: float | None = Field(
        None,
        gt=0,
        description="training time of all trials together after which no new trial starts; default: no limit",
    )
    folds: int = Field(
        0,
        ge=0,
        description="score each trial by the mean over this many folds; 0: on the validation split",
    )
    prune: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="stop a trial early if its score is in this worst share of the trials at the same point "
        "of training; 0.5: the median rule; 0: never",
    )
    sampler: Literal["tpe", "random"] = Field(
        "tpe", description="tpe: Bayesian optimization by Optuna's TPE sampler; random: random search"
    )
    proxy: str | None = Field(
        None,
        min_length=1,
        description="small encoder for the search; the best tune.finalists are then trained with model.name",
    )
    finalists: int = Field(
        3, ge=1, description="settings trained with model.name after a search with a proxy"
    )
    storage: str = Field(
        "sqlite",
        min_length=1,
        description="where Optuna stores the trials: sqlite or journal (a file in the folder), or a database "
        "URL for several machines",
    )
    study: str | None = Field(
        None, min_length=1, description="name of the study in the storage; default: name of the folder"
    )
    keep_models: bool = Field(False, description="whether to keep the model of every trial")

    @model_validator(mode="before")
    @classmethod
    def _flat_space(cls, values: Any) -> Any:
        """Collect `space.train.lr` and the nested tables of a TOML file in one dict by setting."""
        if not isinstance(values, Mapping):
            return values
        space = values.get("space", {})
        if not isinstance(space, Mapping):
            raise ValueError("tune.space must be a table of settings, such as tune.space.train.lr=1e-5..1e-4")
        others = {key: value for key, value in values.items() if not _is_space(key)}
        single = {
            key.removeprefix(_PREFIX): value for key, value in values.items() if key.startswith(_PREFIX)
        }
        found = {**dict(flat(space)), **dict(flat(single))}
        return {**others, "space": found} if found else others


def flat(tables: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of nested tables with dotted keys."""
    for key, value in tables.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _is_space(key: str) -> bool:
    return key == "space" or key.startswith(_PREFIX)
