"""What a saved model takes and means, as `bertune.json` beside its weights records it.

The file also holds the sha256 of every other file of the model, and a checksum of itself.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from bertune.config import DataConfig, TaskConfig, validated
from bertune.data.columns import Columns
from bertune.errors import ConfigError, DamagedError, ModelError
from bertune.files import (
    CHECKSUM,
    changed_files,
    is_intact,
    read_object,
    sealed,
    sha256_of,
    sha256_of_all,
    sync,
    sync_tree,
    to_json,
)
from bertune.manifest import Record, checked
from bertune.renamed import LAST_FORMAT, current_settings

FORMAT = 3  # raised when the layout changes; readers accept every earlier number
FILE = "bertune.json"
_LEAST_LENGTH = 3  # [CLS], a token, [SEP]
_ADVICE = "Put back a copy of the folder, or train again"


@dataclass(frozen=True)
class ModelMetadata:
    """What texts a model takes and what its outputs mean."""

    task: TaskConfig
    labels: tuple[str, ...]
    max_length: int
    columns: Columns  # as in the training file; used again where a file has the same
    reading: dict[str, Any]  # how the training file was read, and its suffix: used again for files like it
    head: str = "auto"
    precision: str = "auto"  # what machine.precision was, and is where it is not given again
    own_files: dict[str, str] | None = None  # sha256 by path of the user's own task, head and reader


class _Columns(Record):
    text: Annotated[list[str], Field(min_length=1)]
    label: str | None
    id: str | None


class _Stored(Record):
    format: Annotated[int, Field(ge=1)]
    task: dict[str, Any]
    labels: list[str]
    max_length: Annotated[int, Field(ge=_LEAST_LENGTH, le=10**7)]
    columns: _Columns
    reading: dict[str, Any]
    head: Annotated[str, Field(min_length=1)]
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    own_files: dict[str, str] | None = None
    files: dict[str, str] | None = None


def write_metadata(folder: Path, metadata: ModelMetadata) -> None:
    """Writes `bertune.json` into a folder that holds all other files of the model, all synced to disk."""
    with ThreadPoolExecutor(max_workers=1) as pool:  # the disk writes while the checksums are computed
        synced = pool.submit(sync_tree, folder)
        checksums = sha256_of_all(folder)
        synced.result()
    columns = metadata.columns
    stored = {
        "format": FORMAT,
        "task": {"name": metadata.task.name, **metadata.task.options},
        "labels": list(metadata.labels),
        "max_length": metadata.max_length,
        "columns": {"text": list(columns.text), "label": columns.label, "id": columns.id},
        "reading": metadata.reading,
        "head": metadata.head,
        "precision": metadata.precision,
        "own_files": metadata.own_files or {},
        "files": checksums,
    }
    (folder / FILE).write_text(to_json(sealed(stored)) + "\n", encoding="utf-8")
    sync(folder / FILE)
    sync(folder)


def read_metadata(folder: Path) -> ModelMetadata:
    """The metadata of a saved model whose files are as they were saved. Raises ModelError.

    Folders of format 1 have no checksums and are taken as they are.
    """
    with verified(folder) as metadata:
        return metadata


@contextlib.contextmanager
def verified(folder: Path) -> Iterator[ModelMetadata]:
    """The metadata of a saved model; its files are verified while the block reads them.

    Raises ModelError at the end of the block where they are not as they were saved, also in the place of an
    error of the block: a damaged file is the cause, what it led to is not. The twin is verifying first.
    """
    found = _stored(folder)
    with ThreadPoolExecutor(max_workers=1) as pool:  # hashing leaves the interpreter to others
        problems = pool.submit(changed_files, folder, found.files or {})
        try:
            yield _metadata(found)
        except ModelError as error:
            _refuse_changed(problems.result(), error)
            raise
        _refuse_changed(problems.result())


def _refuse_changed(problems: list[str], cause: ModelError | None = None) -> None:
    if problems:
        raise ModelError(
            f"{'; '.join(problems)} ({FILE} has the checksums): damaged, or changed after saving. {_ADVICE}"
        ) from cause


def _stored(folder: Path) -> _Stored:
    path = folder / FILE
    if not path.is_file():
        raise ModelError(
            f"{folder} has no {FILE}: give a run folder, or a model folder that bertune saved. If it is one, "
            f"it is damaged. {_ADVICE}"
        )
    try:
        return _read(path)
    except DamagedError as error:
        raise ModelError(f"{error}. {_ADVICE}") from error


def _metadata(found: _Stored) -> ModelMetadata:
    return ModelMetadata(
        task=TaskConfig(**_task_settings(found)),
        labels=tuple(found.labels),
        max_length=found.max_length,
        columns=Columns(tuple(found.columns.text), found.columns.label, found.columns.id),
        reading=found.reading,
        head=found.head,
        precision=found.precision,
        own_files=found.own_files,
    )


def _task_settings(found: _Stored) -> dict[str, Any]:
    if found.format > LAST_FORMAT:
        return found.task
    return current_settings({"task": found.task})["task"]


def verify_model(folder: Path) -> None:
    """Raises ModelError when files of a folder that bertune saved are not as they were saved.

    A plain Hugging Face folder, which has no `bertune.json`, has nothing to compare with.
    """
    if (folder / FILE).is_file():
        read_metadata(folder)


def _read(path: Path) -> _Stored:
    content = read_object(path)
    if CHECKSUM in content and not is_intact(content):
        raise DamagedError(f"{path} does not match its checksum: damaged, or changed after saving")
    made_with = content.get("format")
    if isinstance(made_with, int) and made_with > FORMAT:
        raise ModelError(
            f"{path.parent} has model format {made_with}; this bertune reads up to {FORMAT}: upgrade bertune"
        )
    found = checked(_Stored, content, path)
    if found.format >= 2 and (CHECKSUM not in content or found.files is None):
        raise DamagedError(f"{path} is damaged: it has no checksums")
    if len(set(found.labels)) < len(found.labels):
        twice = next(label for label in found.labels if found.labels.count(label) > 1)
        raise DamagedError(f'{path} is damaged: labels has "{twice}" twice')
    if not isinstance(found.task.get("name"), str):
        raise DamagedError(f"{path} is damaged: task.name is {found.task.get('name')!r}, not a name")
    reading = {key: value for key, value in found.reading.items() if key != "suffix"}
    try:
        validated(DataConfig, reading, prefix="reading.")
    except ConfigError as error:
        raise DamagedError(f"{path} is damaged: {error}") from error
    if not isinstance(found.reading.get("suffix", ""), str):
        raise DamagedError(f"{path} is damaged: reading.suffix is {found.reading['suffix']!r}, not text")
    return found


def own_files(*names: str) -> dict[str, str]:
    """The sha256 of the user's own code files among `names`, so that another version is noticed."""
    return {name: sha256_of(Path(name)) for name in names if name.endswith(".py") and Path(name).is_file()}
