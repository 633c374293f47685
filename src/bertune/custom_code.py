"""The task of a saved model, and custom code that it was trained with.

Code named in a run or model folder is executed only if the user names the same file again.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from bertune.config import TaskConfig
from bertune.errors import ConfigError, ModelError
from bertune.files import sha256_of
from bertune.metadata import FILE, ModelMetadata
from bertune.tasks import FittedTask, Task, make_task


def with_custom_code(metadata: ModelMetadata, own: Mapping[str, str]) -> ModelMetadata:
    """The metadata of a saved model with the files that the user names, by setting, for its custom code.

    The settings are task.name, model.head and data.reader. Raises ModelError if a file is not named or
    differs from the one used in training.
    """
    return replace(
        metadata,
        task=TaskConfig(
            name=_own_file(metadata, metadata.task.name, "task.name", own), **metadata.task.options
        ),
        head=_own_file(metadata, metadata.head, "model.head", own),
        reading=metadata.reading | _own_reader(metadata, own),
    )


def saved_task(metadata: ModelMetadata, folder: Path) -> Task:
    """The task of a saved model, before it is bound to labels. Raises ModelError, ConfigError."""
    if metadata.task.name.endswith(".py"):
        return make_task(metadata.task)
    try:
        return make_task(metadata.task)
    except ConfigError as error:
        raise ModelError(f"{folder / FILE} is damaged: {error}") from error


def saved_fitted(metadata: ModelMetadata, folder: Path) -> FittedTask:
    """The fitted task of a saved model, with its calibration and decision rule.

    Raises ModelError, ConfigError.
    """
    return with_decisions(saved_task(metadata, folder).fitted(metadata.labels), metadata)


def with_decisions(fitted: FittedTask, metadata: ModelMetadata) -> FittedTask:
    """A fitted task with the calibration and the decision rule of a saved model."""
    return replace(fitted, calibration=metadata.calibration, rule=metadata.decision)


def _own_file(metadata: ModelMetadata, name: str, key: str, own: Mapping[str, str]) -> str:
    """The name to use. Code named in a run folder is executed only if the user names it again."""
    if not name.endswith(".py"):
        return name
    given = own.get(key)
    if given is None:
        raise ModelError(
            f"this model was trained with your own file {name}. To use it, name it again: set {key}={name}"
        )
    if not Path(given).is_file():
        raise ModelError(f"{key}={given}: the file does not exist")
    expected = (metadata.own_files or {}).get(name)
    if expected is not None and sha256_of(Path(given)) != expected:
        raise ModelError(
            f"{key}={given}: the file differs from the one this model was trained with ({name}). Use "
            "the original version"
        )
    return given


def _own_reader(metadata: ModelMetadata, own: Mapping[str, str]) -> dict[str, str]:
    """The reader to use. A custom reader is optional, because the file may have another format."""
    name = metadata.reading.get("reader", "auto")
    given = own.get("data.reader")
    if given is not None and given.endswith(".py"):
        return {"reader": _own_file(metadata, name, "data.reader", own) if name.endswith(".py") else given}
    return {"reader": given or ("auto" if name.endswith(".py") else name)}
