"""The rows that a model was validated on: samples to measure its speed with, and the reference for drift."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from bertune.errors import DamagedError, DataError
from bertune.files import JsonObject, read_jsonl
from bertune.predict.model import Model
from bertune.predict.predictor import ReadableRows
from bertune.serve.drift import Profile, lengths_of, profile_of
from bertune.text.sequences import Sequence

_MOST_ROWS = 1000
_RUN, _ROWS, _PREDICTIONS = (
    "predictions/validation.jsonl",
    "reference/rows.jsonl",
    "reference/predictions.jsonl",
)


@dataclass(frozen=True)
class Reference:
    """Sequences of typical length, and the profile of the validation data."""

    samples: list[Sequence]
    profile: Profile | None  # None if neither rows nor predictions are stored


def read_reference(folder: Path, model: Model) -> Reference:
    """The reference of a run or an export. Without stored rows, the sample rows of the task are used.

    Raises DamagedError if a file has changed since bertune wrote it.
    """
    rows, predictions = _stored(folder)
    read = _tokenized(model, rows)
    if read is None:
        profile = profile_of(predictions) if predictions else None
        return Reference(_samples(model), profile)
    lengths = iter(lengths_of(read.sequences, len(read.examples), model.tokenizer.unknown_id))
    known = [next(lengths) if is_readable else None for is_readable in read.is_readable]
    pairs = [
        (prediction, length)
        for prediction, length in zip(predictions, known, strict=False)
        if length is not None
    ]
    return Reference(read.sequences, profile_of([p for p, _ in pairs], [n for _, n in pairs]))


def _stored(folder: Path) -> tuple[list[Any], list[JsonObject]]:
    """Rows in the form of `Model.tokenize`, and their predictions."""
    if (folder / _ROWS).is_file():
        rows = list(islice(read_jsonl(folder / _ROWS), _MOST_ROWS))
        return rows, list(islice(read_jsonl(folder / _PREDICTIONS), len(rows)))
    if not (folder / _RUN).is_file():
        return [], []
    lines = list(islice(read_jsonl(folder / _RUN), _MOST_ROWS))
    if not all(isinstance(line.get("text"), list) for line in lines):
        raise DamagedError(f"{folder / _RUN} is damaged: a line has no text. Restore it from a copy")
    return [tuple(line["text"]) if len(line["text"]) > 1 else line["text"][0] for line in lines], lines


def _tokenized(model: Model, rows: list[Any]) -> ReadableRows | None:
    """The tokenized rows, or None if there are none or their form is not that of rows to predict."""
    try:
        read = model.tokenize(rows) if rows else None
    except DataError:
        return None
    return read if read is not None and read.sequences else None


def _samples(model: Model) -> list[Sequence]:
    """The sample rows of the task, with the columns of the model."""
    columns = model.metadata.columns.text
    rows: list[Mapping[str, Any]] = list(model.fitted.task.sample)
    read = _tokenized(model, rows) or _tokenized(model, [dict.fromkeys(columns, "a short text")])
    if read is None:
        raise DataError(
            f"the sample rows of the task {model.metadata.task.name} cannot be predicted with this model"
        )
    return read.sequences
