"""The reference of an export: validation rows, and the predictions of the trained model for them."""

import json
from collections import defaultdict
from collections.abc import Hashable
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from pathlib import Path
from typing import Any

from bertune.errors import ConfigError, DamagedError, ModelError
from bertune.export.parity import Results
from bertune.export.rows import RowsRecord, StoredRows
from bertune.files import read_jsonl, read_object, shell_word, write_json, write_jsonl
from bertune.metadata import CalibrationRecord, DecisionRecord, ModelMetadata
from bertune.record import Record, checked
from bertune.tasks import FittedTask

FOLDER = "reference"
ROWS, PREDICTIONS, FACTS = "rows.jsonl", "predictions.jsonl", "reference.json"
_MOST_BYTES = 5_000_000  # total size of the stored rows, so that they are not larger than the weights


class _Reference(Record):
    """The content of reference.json."""

    primary: str
    scores: dict[str, float | None]
    rows: RowsRecord
    # With which the predictions were made; `bertune decide` may have changed those of the export since.
    calibration: CalibrationRecord | None = None
    decision: DecisionRecord | None = None


def sample_of(rows: StoredRows, keys: SequenceOf[Hashable], most: int) -> list[int]:
    """The positions of at most `most` rows, evenly spaced; those with the same key stay together.

    Rows with the key None are separate. Long rows are limited further, by their size.
    """
    together: dict[Hashable, list[int]] = defaultdict(list)
    for number, key in enumerate(keys):
        together[("row", number) if key is None else ("key", key)].append(number)
    units = list(together.values())
    step = max(1.0, len(keys) / most) if most else 0.0
    chosen: list[int] = []
    size, next_unit = 0, 0.0
    while most and next_unit < len(units):
        unit = units[int(next_unit)]
        size += len(json.dumps(rows.at(unit).values(), ensure_ascii=False))
        if chosen and (len(chosen) + len(unit) > most or size > _MOST_BYTES):
            break
        chosen += unit
        next_unit += step
    return sorted(chosen)


def write_reference(folder: Path, rows: StoredRows, results: Results, metadata: ModelMetadata) -> None:
    """Write rows and results to the folder `reference` of an export; `metadata` describes the model."""
    inside = folder / FOLDER
    inside.mkdir()
    write_jsonl(inside / ROWS, rows.values())
    write_jsonl(inside / PREDICTIONS, results.lines)
    facts = _Reference(
        primary=results.primary,
        scores=dict(results.scores),
        rows=rows.record(),
        calibration=CalibrationRecord.of(metadata.calibration),
        decision=DecisionRecord.of(metadata.decision),
    )
    write_json(inside / FACTS, facts.to_json())


def reference_decisions(folder: Path, fitted: FittedTask) -> FittedTask:
    """The task with the calibration and the decision rule that the stored results were made with.

    Raises ModelError.
    """
    stored = _facts(folder)
    calibration, rule = stored.calibration, stored.decision
    return replace(
        fitted,
        calibration=None if calibration is None else calibration.restored(),
        rule=None if rule is None else rule.restored(),
    )


def _facts(folder: Path) -> _Reference:
    path = folder / FOLDER / FACTS
    try:
        return checked(_Reference, read_object(path), path)
    except DamagedError as error:
        raise ModelError(f"{path.parent} is damaged: {error}. Export the run again") from error


def read_reference(folder: Path) -> tuple[StoredRows, Results]:
    """The stored rows and results of an export.

    Raises ConfigError if it was exported without them, and ModelError if they are damaged.
    """
    inside = folder / FOLDER
    if not (inside / ROWS).is_file():
        raise ConfigError(
            f"{folder} has no {FOLDER}/{ROWS}, because it was exported with export.reference_rows=0. To "
            f"verify it, export the run again: bertune export RUN --out {shell_word(folder)}"
        )
    try:
        stored = _facts(folder)
        rows = StoredRows.of_record(stored.rows, list(read_jsonl(inside / ROWS)))
        lines: list[dict[str, Any]] = list(read_jsonl(inside / PREDICTIONS))
        if len(lines) != len(rows):
            raise ValueError(f"{len(rows):,} rows but {len(lines):,} predictions")
    except (DamagedError, ValueError) as error:
        raise ModelError(f"{inside} is damaged: {error}. Export the run again") from error
    return rows, Results(lines, stored.scores, stored.primary)
