"""Metadata of a saved model, stored in `bertune.json` next to its weights.

The file records the inputs a model expects and the meaning of its outputs. It also holds the sha256 of every
other file in the model folder, and a checksum of itself.
"""

import contextlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from bertune.config import DataConfig, TaskConfig
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
    shown_path,
    sync,
    sync_tree,
    to_json,
    write_atomically,
)
from bertune.metrics.calibration import Calibration, OutputScale, note_for_other_libraries
from bertune.metrics.decisions import DecisionRule
from bertune.record import Record, checked
from bertune.renamed import LAST_FORMAT, current_settings
from bertune.settings import validated

FORMAT = 7  # incremented when the layout changes; all earlier formats can be read
FILE = "bertune.json"
_LEAST_LENGTH = 3  # [CLS], a token, [SEP]
_ADVICE = "Restore the folder from a copy, or train again"


@dataclass(frozen=True)
class ExportMetadata:
    """A description of the files of an export, from which they can be run without torch."""

    format: str  # such as onnx or onnx-int8
    graph: str | None  # path of the ONNX graph; None for weights alone
    auto_class: (
        str  # the transformers class whose inputs and outputs the graph has; AutoModel for custom heads
    )
    outputs: tuple[str, ...]  # names of the outputs of the graph
    pooling: str | None  # how the graph pools the vectors of tokens; None for other outputs
    vocab_size: int
    pad_id: int
    weights_sha256: str  # of the exported weights


@dataclass(frozen=True)
class ModelMetadata:
    """The inputs a model expects and the meaning of its outputs."""

    task: TaskConfig
    labels: tuple[str, ...]
    max_length: int  # tokens; longer texts are truncated or split into windows
    columns: Columns  # of the training file; also used for a file that has the same columns
    reading: dict[str, Any]  # how the training file was read, and its suffix; also for similar files
    head: str = "auto"
    precision: str = "auto"  # machine.precision in training; the default for prediction
    own_files: dict[str, str] | None = None  # sha256 by path of custom task, head and reader files
    length_limit: int | None = None  # maximum tokens of the encoder; None up to format 3
    output_scale: OutputScale | None = None  # folded into the output layer
    export: ExportMetadata | None = None  # None for a model folder with trained weights
    note: str | None = None  # a sentence on the training of these weights, such as a refit
    calibration: Calibration | None = None
    decision: DecisionRule | None = None

    @property
    def remaining_temperatures(self) -> list[float] | None:
        """The temperatures by which other libraries must divide the outputs; None without calibration."""
        return None if self.calibration is None else self.calibration.remaining(self.output_scale)

    @property
    def calibration_note(self) -> str | None:
        """How other libraries get the calibrated probabilities, in one sentence; None without calibration."""
        remaining = self.remaining_temperatures
        return None if remaining is None else note_for_other_libraries(remaining)


class _Columns(Record):
    text: Annotated[list[str], Field(min_length=1)]
    label: str | None
    id: str | None


_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Scale(Record):
    offset: Annotated[float, Field(allow_inf_nan=False)]
    factors: Annotated[list[_Positive], Field(min_length=1)] | None = None
    factor: _Positive | None = None  # up to format 6

    def restored(self) -> OutputScale:
        return OutputScale(self.offset, tuple(self.factors or [self.factor or 1.0]))


class _Export(Record):
    format: Annotated[str, Field(min_length=1)]
    graph: Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_./-]*\.onnx$")] | None
    auto_class: Annotated[str, Field(pattern="^AutoModel")]
    outputs: list[str]
    pooling: str | None
    vocab_size: Annotated[int, Field(ge=1)]
    pad_id: Annotated[int, Field(ge=0)]
    weights_sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class CalibrationRecord(Record):
    """A stored `Calibration`."""

    temperatures: Annotated[list[_Positive], Field(min_length=1)]

    @classmethod
    def of(cls, calibration: Calibration | None) -> "CalibrationRecord | None":
        return None if calibration is None else cls(temperatures=list(calibration.temperatures))

    def restored(self) -> Calibration:
        return Calibration(tuple(self.temperatures))


_Number = Annotated[float, Field(allow_inf_nan=False)]


class DecisionRecord(Record):
    """A stored `DecisionRule`."""

    thresholds: dict[str, _Number | None] | None = None
    max_error: Annotated[float, Field(gt=0, lt=1)] | None = None
    confidence: Annotated[float, Field(gt=0, lt=1)] | None = None
    cutoffs: dict[str, _Number] | None = None
    costs: list[list[_Number]] | None = None

    @classmethod
    def of(cls, rule: DecisionRule | None) -> "DecisionRecord | None":
        if rule is None:
            return None
        costs = None if rule.costs is None else [list(row) for row in rule.costs]
        thresholds = None if rule.thresholds is None else dict(rule.thresholds)
        cutoffs = None if rule.cutoffs is None else dict(rule.cutoffs)
        return cls(
            thresholds=thresholds,
            max_error=rule.max_error,
            confidence=rule.confidence,
            cutoffs=cutoffs,
            costs=costs,
        )

    def restored(self) -> DecisionRule:
        costs = None if self.costs is None else tuple(map(tuple, self.costs))
        return DecisionRule(self.thresholds, self.max_error, self.confidence, self.cutoffs, costs)


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
    length_limit: Annotated[int, Field(ge=_LEAST_LENGTH, le=10**7)] | None = None
    output_scale: _Scale | None = None
    export: _Export | None = None
    note: str | None = None
    calibration: CalibrationRecord | None = None
    remaining_temperatures: list[_Positive] | None = None  # derived, for other libraries
    decision: DecisionRecord | None = None
    files: dict[str, str] | None = None


def write_metadata(folder: Path, metadata: ModelMetadata) -> None:
    """Write `bertune.json` to a folder with all other files of the model, and sync the folder to disk.

    An earlier `bertune.json` is replaced.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:  # sync to disk while the checksums are computed
        synced = pool.submit(sync_tree, folder)
        checksums = {name: digest for name, digest in sha256_of_all(folder).items() if name != FILE}
        synced.result()
    columns, scale = metadata.columns, metadata.output_scale
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
        "length_limit": metadata.length_limit,
        "output_scale": scale and {"offset": scale.offset, "factors": list(scale.factors)},
        "export": metadata.export and asdict(metadata.export),
        "note": metadata.note,
        "calibration": _plain(CalibrationRecord.of(metadata.calibration)),
        "remaining_temperatures": metadata.remaining_temperatures,
        "decision": _plain(DecisionRecord.of(metadata.decision)),
        "files": checksums,
    }
    (folder / FILE).write_text(to_json(sealed(stored)) + "\n", encoding="utf-8")
    sync(folder / FILE)
    sync(folder)


def _plain(record: Record | None) -> dict[str, Any] | None:
    return None if record is None else record.to_json()


def update_decision(folder: Path, calibration: Calibration | None, decision: DecisionRule | None) -> None:
    """Replace the calibration and the decision rule of a saved model; nothing else changes.

    The file is replaced atomically. Raises ModelError for a damaged folder.
    """
    recorded = read_metadata(folder)  # refuses changed files, whose checksums would otherwise be stored again
    if _stored(folder).files is None:
        raise ModelError(
            f"{shown_path(folder)} was saved by a version of bertune without checksums, and cannot be "
            "changed safely. Train again"
        )
    if calibration is None and recorded.calibration is not None and recorded.output_scale is not None:
        calibration = Calibration((1.0,))  # cancels the temperature in the output layer, also for others
    changed = replace(recorded, calibration=calibration, decision=decision)
    content = {key: value for key, value in read_object(folder / FILE).items() if key != CHECKSUM}
    content |= {
        "format": FORMAT,
        "task": _task_settings(_stored(folder)),
        "calibration": _plain(CalibrationRecord.of(calibration)),
        "remaining_temperatures": changed.remaining_temperatures,
        "decision": _plain(DecisionRecord.of(decision)),
    }
    write_atomically(folder / FILE, to_json(sealed(content)) + "\n")


def read_metadata(folder: Path) -> ModelMetadata:
    """The metadata of a saved model, with all files verified. Raises ModelError.

    Folders of format 1 have no checksums and are not verified.
    """
    with verified(folder) as metadata:
        return metadata


@contextlib.contextmanager
def verified(folder: Path) -> Iterator[ModelMetadata]:
    """The metadata of a saved model, whose files are verified while the block reads them.

    Raises ModelError at the end of the block if a file has changed since it was saved. That error also
    replaces a ModelError raised in the block, because the damaged file is its cause.
    """
    found = _stored(folder)
    with ThreadPoolExecutor(max_workers=1) as pool:  # hashing releases the interpreter lock
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
            f"{'; '.join(problems)}: damaged, or changed after saving (see {FILE}). {_ADVICE}"
        ) from cause


def _stored(folder: Path) -> _Stored:
    path = folder / FILE
    if not path.is_file():
        raise ModelError(
            f"{shown_path(folder)} has no {FILE}. Use a run folder, or a model folder that bertune saved. If "
            f"this is one, it is damaged. {_ADVICE}"
        )
    try:
        return _read(path)
    except DamagedError as error:
        raise ModelError(f"{error}. {_ADVICE}") from error


def _metadata(found: _Stored) -> ModelMetadata:
    scale = found.output_scale
    return ModelMetadata(
        task=TaskConfig(**_task_settings(found)),
        labels=tuple(found.labels),
        max_length=found.max_length,
        columns=Columns(tuple(found.columns.text), found.columns.label, found.columns.id),
        reading=found.reading,
        head=found.head,
        precision=found.precision,
        own_files=found.own_files,
        length_limit=found.length_limit,
        output_scale=None if scale is None else scale.restored(),
        export=None if found.export is None else _export_metadata(found.export),
        note=found.note,
        calibration=None if found.calibration is None else found.calibration.restored(),
        decision=None if found.decision is None else found.decision.restored(),
    )


def _export_metadata(found: _Export) -> ExportMetadata:
    return ExportMetadata(**found.model_dump() | {"outputs": tuple(found.outputs)})


def _task_settings(found: _Stored) -> dict[str, Any]:
    if found.format > LAST_FORMAT:
        return found.task
    return current_settings({"task": found.task})["task"]


def recorded_metadata(folder: Path) -> ModelMetadata | None:
    """The metadata of a folder that bertune saved, or None for any other folder. Raises ModelError.

    The other files are not verified; use `verify_model` for that.
    """
    return _metadata(_stored(folder)) if (folder / FILE).is_file() else None


def verify_model(folder: Path) -> None:
    """Raise ModelError if files in a folder that bertune saved have changed since.

    A plain Hugging Face folder has no `bertune.json` and is not verified.
    """
    if (folder / FILE).is_file():
        read_metadata(folder)


def _read(path: Path) -> _Stored:
    content, shown = read_object(path), shown_path(path)
    if CHECKSUM in content and not is_intact(content):
        raise DamagedError(f"{shown} does not match its checksum: it is damaged or was changed after saving")
    format_number = content.get("format")
    if isinstance(format_number, int) and format_number > FORMAT:
        raise ModelError(
            f"{shown_path(path.parent)} has model format {format_number}, but this bertune reads formats up "
            f"to {FORMAT}. Upgrade bertune"
        )
    found = checked(_Stored, content, path)
    if found.format >= 2 and (CHECKSUM not in content or found.files is None):
        raise DamagedError(f"{shown} is damaged: it has no checksums")
    _refuse_unfitting(found, shown)
    if len(set(found.labels)) < len(found.labels):
        repeated = next(label for label in found.labels if found.labels.count(label) > 1)
        raise DamagedError(f'{shown} is damaged: labels contains "{repeated}" twice')
    if not isinstance(found.task.get("name"), str):
        raise DamagedError(f"{shown} is damaged: task.name must be a string, got {found.task.get('name')!r}")
    reading = {key: value for key, value in found.reading.items() if key != "suffix"}
    try:
        validated(DataConfig, reading, prefix="reading.")
    except ConfigError as error:
        raise DamagedError(f"{shown} is damaged: {error}") from error
    if not isinstance(found.reading.get("suffix", ""), str):
        raise DamagedError(
            f"{shown} is damaged: reading.suffix must be a string, got {found.reading['suffix']!r}"
        )
    return found


def _refuse_unfitting(found: _Stored, shown: str) -> None:
    """Raise DamagedError for temperatures and costs that do not fit the labels."""
    num_labels = len(found.labels)
    if found.calibration is not None and len(found.calibration.temperatures) not in (1, num_labels):
        count = len(found.calibration.temperatures)
        raise DamagedError(f"{shown} is damaged: {count} temperatures for {num_labels} labels")
    costs = None if found.decision is None else found.decision.costs
    if costs is not None and [len(row) for row in costs] != [num_labels] * num_labels:
        raise DamagedError(f"{shown} is damaged: decision.costs must have {num_labels} rows and columns")


def own_files(*names: str) -> dict[str, str]:
    """The sha256 of custom code files among `names`, so that a changed file can be detected."""
    return {name: sha256_of(Path(name)) for name in names if name.endswith(".py") and Path(name).is_file()}
