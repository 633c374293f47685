"""The reference of an export: validation rows, and what the trained model predicts for them."""

import json
from collections import defaultdict
from collections.abc import Hashable, Iterable
from collections.abc import Sequence as SequenceOf
from pathlib import Path
from typing import Any

from bertune.errors import ModelError
from bertune.export.parity import Line, Results
from bertune.files import read_jsonl, read_object, shell_word, write_json, write_jsonl
from bertune.predict.model import Model
from bertune.predict.writers import EXAMPLE_COLUMNS

Values = dict[str, Any]  # of a row, by column

FOLDER = "reference"
ROWS, PREDICTIONS, SCORES = "rows.jsonl", "predictions.jsonl", "scores.json"
_MOST_BYTES = 5_000_000  # of the stored rows, so that long documents do not outweigh the weights


def sample_of(groups: SequenceOf[list[Values]], keys: SequenceOf[Hashable], most: int) -> list[list[Values]]:
    """At most `most` examples, evenly spaced and in order; those with the same key stay together.

    Without keys (None), every example is separate. Long rows are limited further, by their size.
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
        size += sum(len(json.dumps(groups[i], default=str)) for i in unit)
        if chosen and (len(chosen) + len(unit) > most or size > _MOST_BYTES):
            break
        chosen += unit
        next_unit += step
    return [groups[i] for i in sorted(chosen)]


def results_of(model: Model, rows: SequenceOf[Values]) -> Results:
    """The predictions and scores of a model for labelled rows. Raises DataError."""
    evaluation = model.evaluate(list(rows))
    lines = [{k: v for k, v in line.items() if k not in EXAMPLE_COLUMNS} for line in evaluation.lines]
    return Results(lines, evaluation.scores, model.fitted.task.primary)


def write_reference(folder: Path, rows: SequenceOf[Values], results: Results) -> None:
    """Write rows and results to the folder `reference` of an export."""
    inside = folder / FOLDER
    inside.mkdir()
    write_jsonl(inside / ROWS, rows)
    write_jsonl(inside / PREDICTIONS, results.lines)
    write_json(inside / SCORES, {"primary": results.primary, "scores": dict(results.scores)})


def read_reference(folder: Path) -> tuple[list[Values], Results]:
    """The stored rows and results of an export. Raises ModelError if it has none."""
    inside = folder / FOLDER
    if not (inside / ROWS).is_file():
        raise ModelError(
            f"{folder} has no {FOLDER}/{ROWS}, because it was exported with export.reference_rows=0. To "
            f"verify it, export the run again: bertune export RUN --out {shell_word(folder)}"
        )
    rows: list[Values] = list(read_jsonl(inside / ROWS))
    lines: list[Line] = list(read_jsonl(inside / PREDICTIONS))
    stored = read_object(inside / SCORES)
    return rows, Results(lines, stored["scores"], stored["primary"])


def flat(groups: Iterable[list[Values]]) -> list[Values]:
    """All rows of all groups."""
    return [row for group in groups for row in group]
