"""Owns reading Label Studio's JSON export of labelled spans, a row for each of its tasks."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import DAMAGED_GZIP, open_bytes
from bertune.data.readers._objects import json_kind
from bertune.data.readers._questions import parsed
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, listed

SUFFIXES = (".json",)

_HEAD = 1 << 16  # bytes within which a task with a span is expected
_TASK = re.compile(rb'^\s*\[\s*\{.*"annotations"\s*:\s*\[', re.DOTALL)
_SPAN = re.compile(rb'"labels"\s*:\s*\[')


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether a JSON file begins like a list of annotated tasks with labelled spans."""
    with open_bytes(path) as file:
        try:
            head = file.read(_HEAD).replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf")
        except DAMAGED_GZIP:
            return False
    return bool(_TASK.search(head) and _SPAN.search(head))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """A row for each task: id, text, spans; None for the spans of a task that nobody has annotated.

    The file is held in memory; a row's line is the number of its task, from 1. Skipped annotations do not
    count. Raises DataError for a task with several annotations none of which is the ground truth.
    """
    content = parsed(path, options)
    if not isinstance(content, list):
        raise DataError(f"{path}: expected a list of tasks, found {json_kind(content)}; export it as JSON")
    for number, task in enumerate(content, start=1):
        origin = Origin(str(path), number, "task")
        if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
            raise DataError(f'{origin}: expected an object with "data" and "annotations"; export it as JSON')
        text = _text(task["data"], origin)
        spans = _spans(task.get("annotations") or [], text, origin)
        yield Row({"id": str(task.get("id", number)), "text": text, "spans": spans}, origin)


def _text(data: Mapping[str, Any], origin: Origin) -> str:
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    if "text" in texts:
        return str(texts["text"])
    if len(texts) != 1:
        raise DataError(
            f'{origin}: none of the data is plainly the text: {listed(list(data))}; name it "text"'
        )
    return str(next(iter(texts.values())))


def _spans(annotations: list[Any], text: str, origin: Origin) -> list[dict[str, Any]] | None:
    done = [a for a in annotations if isinstance(a, Mapping) and not a.get("was_cancelled")]
    chosen = [a for a in done if a.get("ground_truth")] or done
    if not chosen:
        return None
    if len(chosen) > 1:
        raise DataError(
            f"{origin}: there are {len(chosen)} annotations, of which no single one is the ground truth; "
            "mark the one to learn, or export one only"
        )
    spans = []
    for result in chosen[0].get("result") or []:
        value = result.get("value") if isinstance(result, Mapping) else None
        if not isinstance(value, Mapping) or "labels" not in value:
            continue  # relations, ratings and choices are none of this task's
        labels = value["labels"]
        if not isinstance(labels, list) or len(labels) != 1:
            raise DataError(f"{origin}: a span has the labels {labels!r}; give each span one label")
        start, end = _places(value, text)
        spans.append({"start": start, "end": end, "label": labels[0], "text": value.get("text")})
    return spans


def _places(value: Mapping[str, Any], text: str) -> tuple[Any, Any]:
    """The characters of a span; a browser counts those beyond 16 bits twice."""
    start, end, stated = value.get("start"), value.get("end"), value.get("text")
    if not (isinstance(start, int) and isinstance(end, int) and isinstance(stated, str)):
        return start, end
    if text[start:end].strip() == stated.strip():
        return start, end
    wide = text.encode("utf-16-le")
    try:
        before, inside = wide[: 2 * start].decode("utf-16-le"), wide[2 * start : 2 * end].decode("utf-16-le")
    except UnicodeDecodeError:
        return start, end
    return (len(before), len(before) + len(inside)) if inside.strip() == stated.strip() else (start, end)
