"""Trains a model for an estimator, in a temporary run folder or in one that is kept."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bertune import api
from bertune.errors import GateError, InputError, Interrupted
from bertune.estimators.inputs import EstimatorInputError
from bertune.gates import failures
from bertune.predict.model import Model
from bertune.run import Run
from bertune.settings import nested

# The parameters of the estimators that are settings.
PARAMETERS = {
    "model": "model.name",
    "epochs": "train.epochs",
    "batch_size": "train.batch_size",
    "learning_rate": "train.lr",
    "max_length": "model.max_length",
    "validation_fraction": "data.validation_fraction",
    "random_state": "train.seed",
}
# Settings that the estimators choose themselves.
_OWN = ("task.name", "data.train", "data.validation", "data.test", "data.text", "data.label")


def settings_of(parameters: Mapping[str, Any], seed: int, task: Mapping[str, Any]) -> dict[str, Any]:
    """The settings for the parameters of an estimator. Raises EstimatorInputError.

    `task` are the settings that follow from y. A validation fraction of 0 means that the model is trained
    again on all rows (`train.refit`), with the default fraction to determine the number of steps.
    """
    own = {key: parameters[name] for name, key in PARAMETERS.items()} | {"train.seed": seed}
    try:
        sections = nested(parameters["settings"])
    except InputError as error:
        raise EstimatorInputError(str(error)) from error
    given = {
        f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()
    }
    by_setting = {key: name for name, key in PARAMETERS.items()}
    for key in given:
        if key in by_setting:
            raise EstimatorInputError(f"settings: use the parameter {by_setting[key]} instead of {key}")
        if key in _OWN:
            raise EstimatorInputError(f"settings: {key} cannot be set; it follows from X and y")
    if own["data.validation_fraction"] == 0:
        del own["data.validation_fraction"]
        own["train.refit"] = True
    # A temporary run has no report, so the simple models for it are not trained.
    quick = {} if parameters["out"] is not None else {"train.baselines": False}
    return quick | own | given | dict(task)


def train(
    rows: list[dict[str, Any]], settings: Mapping[str, Any], out: str | Path | None, verbose: bool
) -> tuple[Model, Run | None, tuple[str, ...]]:
    """The model trained on rows, its run if `out` is given, and the warnings raised during training.

    Raises EstimatorInputError for data and settings that cannot be used, KeyboardInterrupt if a signal stops
    the training, and the other errors of training.
    """
    machine = {key: value for key, value in settings.items() if key.startswith("machine.")}
    try:
        if out is not None:
            run = api.train(rows, settings=settings, out=out, progress=verbose)
            return api.load(run, settings=machine), run, _warnings(run)
        with tempfile.TemporaryDirectory(prefix="bertune-") as folder:
            run = _trained(rows, settings, Path(folder) / "sklearn", verbose)
            return api.load(run, settings=machine), None, _warnings(run)
    except InputError as error:
        raise EstimatorInputError(_by_parameter(str(error))) from error
    except Interrupted as error:
        # A search over parameters counts any other error as a failed fit, and continues with the next.
        raise KeyboardInterrupt(str(error) if out is not None else "training was interrupted") from error


def _by_parameter(message: str) -> str:
    """A message about invalid values, each in a line, with the parameters instead of their settings."""
    lines = message.split("\n")
    for name, key in PARAMETERS.items():
        lines = [name + line.removeprefix(key) if line.startswith(f"{key} must") else line for line in lines]
    return "\n".join(lines)


def _warnings(run: Run) -> tuple[str, ...]:
    return tuple(run.record.warnings or ())


def _trained(rows: list[dict[str, Any]], settings: Mapping[str, Any], out: Path, verbose: bool) -> Run:
    """A run without a report, which takes longer than training a small model."""
    from bertune.console import show
    from bertune.console.progress import watch
    from bertune.source import resolve_source
    from bertune.tracking.following import follow
    from bertune.training.events import Finished, final
    from bertune.training.fit import train_source
    from bertune.training.seeds import train_seeds

    source = resolve_source(rows, settings)
    trained = (train_seeds if source.config.train.seeds > 1 else train_source)(source, out)
    events = follow(trained, source.config, out, report=lambda run: None)
    run = watch(events, show.messages()) if verbose else final(events, Finished).run
    failed = failures(run.manifest.get("gates"))
    if failed:
        raise GateError(f"{failed}. Improve the model or the data, or set other limits")
    return run
