"""Reads exports of Label Studio: spans, choices and ratings as JSON, spans as JSON-MIN. One row per task."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import first_ascii
from bertune.data.readers._objects import json_kind
from bertune.data.readers._questions import parsed
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, listed

SUFFIXES = (".json",)

_HEAD = 1 << 16  # bytes that are searched for a task with a span or a choice
_TASK = re.compile(rb'^\s*\[\s*\{.*("annotations"\s*:\s*\[|"annotation_id"\s*:)', re.DOTALL)
_SPAN = re.compile(rb'"(?:hypertext|paragraph)?labels"\s*:\s*\[')
_CHOICE = re.compile(rb'"(?:choices"\s*:\s*\[|(?:rating|number)"\s*:\s*[\d.-])')
_ANSWERS = ("choices", "rating", "number")  # values of a result that answer a question about the whole text
_FLAT = b'"annotation_id"'
_RICH = ("hypertextlabels", "paragraphlabels")  # spans in HTML pages and dialogues, not in plain text
_TOOL_KEYS = {"id", "annotator", "annotation_id", "created_at", "updated_at", "lead_time"}  # of JSON-MIN

Span = dict[str, Any]


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether a JSON file starts like a list of annotated tasks with labelled spans, choices or ratings.

    In JSON-MIN, a choice is a plain value of an object, which needs no reader.
    """
    head = first_ascii(path, _HEAD)
    is_nested = _FLAT not in head
    return bool(_TASK.search(head) and (_SPAN.search(head) or (is_nested and _CHOICE.search(head))))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per task: id, text, and its spans or choices, which are None if the task is not annotated.

    Spans are in the column "spans", and choices in "label", or in columns named after their questions if
    there are several. The file is read into memory; the line of a row is the number of its task, from 1.
    Skipped annotations, predictions and relations are ignored. Raises DataError for another shape, and for a
    task whose annotations differ if none of them is marked as the ground truth.
    """
    content = parsed(path, options)
    if not isinstance(content, list):
        raise DataError(
            f"{path}: expected a list of tasks, found {json_kind(content)}. Export the project again as JSON"
        )
    seen: dict[str, tuple[Origin, list[Span]]] = {}  # of JSON-MIN, by task
    questions, has_spans = _results(content)
    for number, task in enumerate(content, start=1):
        origin = Origin(str(path), number, "task")
        if isinstance(task, Mapping) and "annotation_id" in task:
            yield from _flat_row(task, origin, seen)
            continue
        if not isinstance(task, Mapping) or not isinstance(task.get("data"), Mapping):
            raise DataError(
                f'{origin}: expected an object with "data" and "annotations". Export the project again as'
                " JSON"
            )
        text = _text(task["data"], origin)
        annotations = _objects(task, "annotations", origin)
        values: dict[str, Any] = {"id": str(task.get("id", number)), "text": text}
        if questions:
            values |= _choices(annotations, questions, origin)
        if not questions or has_spans:
            values["spans"] = _spans(annotations, text, origin)
        yield Row(values, origin)


def _flat_row(
    task: Mapping[str, Any], origin: Origin, seen: dict[str, tuple[Origin, list[Span]]]
) -> Iterator[Row]:
    """The row of an annotation in JSON-MIN; nothing for a repeated annotation of the same task."""
    data = {key: value for key, value in task.items() if key not in _TOOL_KEYS}
    text, name = _text(data, origin), str(task.get("id", origin.line))
    marked = [item for value in data.values() if isinstance(value, list) for item in value]
    spans = _labelled(marked, text, origin)
    first = seen.setdefault(name, (origin, spans))
    if first[1] != spans:
        place = f"{first[0].unit} {first[0].line}"
        raise _differ(origin, f"{place} has different spans in the same text (id {name})")
    if first[0] is origin:
        yield Row({"id": name, "text": text, "spans": spans}, origin)


def _text(data: Mapping[str, Any], origin: Origin) -> str:
    texts = {key: value for key, value in data.items() if isinstance(value, str)}
    if "text" in texts:
        return str(texts["text"])
    if len(texts) != 1:
        raise DataError(
            f"{origin}: could not identify the text among the data: {listed(list(data))}. Rename the key of"
            ' the text to "text"'
        )
    return str(next(iter(texts.values())))


def _objects(owner: Mapping[str, Any], key: str, origin: Origin) -> list[Mapping[str, Any]]:
    """The objects in an optional list; empty if it is missing or null. Raises DataError for anything else."""
    found = owner.get(key)
    if found is None:
        return []
    if not isinstance(found, list):
        raise DataError(
            f'{origin}: "{key}" must be a list, got {json_kind(found)}. Export the task again as JSON'
        )
    for number, item in enumerate(found, start=1):
        if not isinstance(item, Mapping):
            raise DataError(
                f'{origin}: item {number} of "{key}" must be an object, got {json_kind(item)}. Export the'
                " task again as JSON"
            )
    return found


def _results(content: list[Any]) -> tuple[list[str], bool]:
    """The names of the questions about whole texts, in order of appearance, and whether there are spans."""
    names: dict[str, None] = {}
    has_spans = False
    for task in content:
        annotations = task.get("annotations") if isinstance(task, Mapping) else None
        for annotation in annotations if isinstance(annotations, list) else []:
            results = annotation.get("result") if isinstance(annotation, Mapping) else None
            for result in results if isinstance(results, list) else []:
                if isinstance(result, Mapping):
                    value = result.get("value")
                    has_spans = has_spans or (isinstance(value, Mapping) and "start" in value)
                    if isinstance(value, Mapping) and not value.keys().isdisjoint(_ANSWERS):
                        names[_question(result)] = None
    return list(names), has_spans


def _question(result: Mapping[str, Any]) -> str:
    return str(result.get("from_name", "label"))


def _choices(
    annotations: list[Mapping[str, Any]], questions: Sequence[str], origin: Origin
) -> dict[str, Any]:
    """The choices, ratings and numbers of a task by column. One choice is a text, several are a list."""
    chosen = _chosen(annotations)
    found: list[dict[str, Any]] = []
    for annotation in chosen:
        answers: dict[str, Any] = dict.fromkeys(questions)
        for result in _objects(annotation, "result", origin):
            value = result.get("value")
            if not isinstance(value, Mapping):
                continue
            for key in ("rating", "number"):
                if key in value:
                    answers[_question(result)] = value[key]
            if "choices" in value:
                choices = value["choices"]
                if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
                    raise DataError(
                        f'{origin}: expected a list of texts in "choices", got {choices!r:.60}. Export the '
                        "task again as JSON"
                    )
                answers[_question(result)] = choices[0] if len(choices) == 1 else choices
        found.append(answers)
    if any(answers != found[0] for answers in found):
        raise _differ(origin, f"{len(chosen)} annotations differ, and no single one is the ground truth")
    answers = found[0] if found else dict.fromkeys(questions)
    return {"label": answers[questions[0]]} if len(questions) == 1 else answers


def _chosen(annotations: list[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The annotations that count: the ground truth, or all that were not cancelled."""
    done = [a for a in annotations if not a.get("was_cancelled")]
    return [a for a in done if a.get("ground_truth")] or done


def _spans(annotations: list[Mapping[str, Any]], text: str, origin: Origin) -> list[Span] | None:
    chosen = _chosen(annotations)
    if not chosen:
        return None
    results = [[r.get("value") for r in _objects(a, "result", origin)] for a in chosen]
    first, *others = (_labelled(values, text, origin) for values in results)
    if any(spans != first for spans in others):
        raise _differ(origin, f"{len(chosen)} annotations differ, and no single one is the ground truth")
    return first


def _differ(origin: Origin, what: str) -> DataError:
    return DataError(f"{origin}: {what}. Mark one as the ground truth, or export only one")


def _labelled(values: Sequence[Any], text: str, origin: Origin) -> list[Span]:
    """The labelled spans among the results, in text order; relations, ratings and choices are ignored."""
    spans = []
    for value in values:
        rich = next((key for key in _RICH if isinstance(value, Mapping) and key in value), None)
        if rich is not None:
            raise DataError(
                f'{origin}: spans of the type "{rich}" are positions in a page or dialogue and cannot be '
                "read. Label plain text instead, or remove these tasks"
            )
        if not isinstance(value, Mapping) or "labels" not in value:
            continue
        labels = value["labels"]
        if not isinstance(labels, list) or len(labels) != 1:
            raise DataError(
                f"{origin}: a span has the labels {labels!r}, expected exactly one. Correct the annotation"
            )
        spans.append({**_places(value, text), "label": labels[0]})
    return sorted(spans, key=lambda span: tuple(str(span[key]).zfill(9) for key in ("start", "end", "label")))


def _places(value: Mapping[str, Any], text: str) -> Span:
    """Start, end and text of a span, with offsets corrected for the browser's way of counting.

    A browser counts a character beyond 16 bits twice, and may count the two characters of a Windows line
    break once. If no way of counting matches the stated text, the stated offsets are returned.
    """
    start, end, stated = value.get("start"), value.get("end"), value.get("text")
    if isinstance(start, int) and isinstance(end, int) and isinstance(stated, str):
        for counted in (_characters, _units, _lines, _lines_and_units):
            places = counted(text)
            if 0 <= start < end < len(places):
                inside = text[places[start] : places[end]]
                if _plain(inside) == _plain(stated):
                    return {"start": places[start], "end": places[end], "text": inside}
    return {"start": start, "end": end, "text": stated}


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\\n", "\n").strip()


def _characters(text: str) -> Sequence[int]:
    return range(len(text) + 1)


def _units(text: str) -> list[int]:
    """For each UTF-16 code unit of a text, the index of its character; then the length of the text."""
    return [at for at, char in enumerate(text) for _ in range(1 + (ord(char) > 0xFFFF))] + [len(text)]


def _lines(text: str) -> list[int]:
    """The indices of all characters, with \\r\\n counted once; then the length of the text."""
    is_first = [text.startswith("\r\n", at) for at in range(len(text))]
    return [at for at in range(len(text)) if not is_first[at]] + [len(text)]


def _lines_and_units(text: str) -> list[int]:
    kept = set(_lines(text))
    return [at for at in _units(text)[:-1] if at in kept] + [len(text)]
