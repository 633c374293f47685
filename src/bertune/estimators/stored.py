"""Save an estimator next to its model, and read it again. Nothing in the folder is executed."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import DamagedError, RunExistsError
from bertune.files import (
    JsonObject,
    disk_errors,
    is_intact,
    read_object,
    remove,
    sealed,
    shown_path,
    sync,
    temporary_name,
    write_json,
)
from bertune.predict.model import Model

FILE = "estimator.json"
_KINDS = {"b": "bool", "i": "int64", "u": "int64", "f": "float64", "U": "str", "O": "object"}


def classes_to_json(classes: NDArray[Any]) -> JsonObject:
    """Classes as plain JSON. Raises TypeError for labels such as dates, which JSON cannot hold."""
    kind = _KINDS.get(classes.dtype.kind)
    values = classes.tolist()
    if kind is None or not all(isinstance(value, str | int | float | bool) for value in values):
        raise TypeError(f"labels of type {classes.dtype} cannot be saved. Use texts, numbers or booleans")
    return {"kind": kind, "values": values}


def classes_from_json(stored: JsonObject) -> NDArray[Any]:
    """The classes that `classes_to_json` stored."""
    return np.array(stored["values"], dtype=stored["kind"])


def write(folder: Path, content: JsonObject) -> None:
    """Write estimator.json into a folder."""
    write_json(folder / FILE, sealed(content))


def read(folder: Path) -> JsonObject | None:
    """The content of estimator.json in a folder, or None. Raises DamagedError."""
    path = folder / FILE
    if not path.is_file():
        return None
    content = read_object(path)
    if not is_intact(content):
        raise DamagedError(
            f"{shown_path(path)} does not match its checksum: it is damaged or was changed. Restore it from "
            "a copy, or remove it to load the model with label names as classes"
        )
    return content


def save(folder: Path, model: Model, content: JsonObject) -> None:
    """Save a model and an estimator as a new folder, visible only when it is complete.

    Raises RunExistsError, InputError, ResourceError.
    """
    from bertune.predict.torch_backend import TorchBackend
    from bertune.saved_model import LoadedModel
    from bertune.saved_model import save as save_model

    if folder.exists():
        raise RunExistsError(
            f"{shown_path(folder)} already exists. Nothing in it was changed. Use another name"
        )
    backend = model.backend
    assert isinstance(backend, TorchBackend), "an estimator computes with torch"
    staging = folder.with_name(temporary_name(folder.name))
    with disk_errors(folder):
        try:
            remove(staging)
            staging.mkdir(parents=True)
            loaded = LoadedModel(backend.model, model.tokenizer, model.fitted, model.metadata)  # type: ignore[arg-type]
            save_model(staging / "model", loaded)
            write(staging, content)
            staging.rename(folder)
            sync(folder.parent)
        finally:
            remove(staging)
