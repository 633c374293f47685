"""Reads the JSON Lines of Prodigy (`prodigy db-out`): accepted texts with their spans, choices or labels."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import first_ascii, text_lines
from bertune.data.readers.jsonl import parsed_lines
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".jsonl",)

_HEAD = 1 << 16  # bytes that are searched for the keys of the first task
_TASK = re.compile(rb'^\s*\{[^\n]*"_(?:input|task)_hash"[^\n]*"answer"\s*:\s*"(?:accept|reject|ignore)"')
_ANSWERS = ("accept", "reject", "ignore")


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether a file starts with an answered task of Prodigy."""
    return bool(_TASK.search(first_ascii(path, _HEAD)))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per accepted task: text, and its spans, or its choices or its label in the column "label".

    Rejected tasks are wrong and ignored ones unanswered, so neither is a row; but if the question is whether
    one label applies, an accepted task has this label, and a rejected one has the label "not LABEL". Other
    keys are columns of the same name. Raises DataError for another shape.
    """
    for number, task in parsed_lines(enumerate(text_lines(path, options.encoding), start=1), str(path)):
        origin = Origin(str(path), number)
        if not isinstance(task, Mapping) or task.get("answer") not in _ANSWERS:
            raise DataError(
                f'{origin}: expected an object with "answer": accept, reject or ignore. '
                "Export the data set again with `prodigy db-out`"
            )
        if task["answer"] == "ignore":
            continue
        values: dict[str, Any] = {key: value for key, value in task.items() if not key.startswith("_")}
        for key in ("tokens", "options", "accept", "answer", "config"):
            values.pop(key, None)
        label = _label(task)
        if label is not None:
            values["label"] = label
        elif task["answer"] == "reject":
            continue
        yield Row(values, origin)


def _label(task: Mapping[str, Any]) -> Any:
    """The chosen options, or the label that was accepted or rejected; None for other tasks.

    A text for the only option of a task that allows one, otherwise a list.
    """
    accepted = task["answer"] == "accept"
    if isinstance(task.get("options"), list):
        chosen = task.get("accept")
        if not accepted or not isinstance(chosen, list):
            return None
        config = task.get("config")
        style = config.get("choice_style") if isinstance(config, Mapping) else None
        return chosen[0] if style != "multiple" and len(chosen) == 1 else list(chosen)
    label = task.get("label")
    if isinstance(label, str) and "spans" not in task:
        return label if accepted else f"not {label}"
    return None
