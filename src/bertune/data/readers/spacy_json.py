"""Reads the JSON formats of spaCy: training pairs and documents.

A pair is ["text", {"entities": [[0, 5, "PER"]]}]. A document is the object that Doc.to_json returns, with the
text as "text" and items such as {"start": 0, "end": 5, "label": "PER"} in the list "ents".
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import first_ascii, text_lines
from bertune.data.formats import file_suffix
from bertune.data.readers._questions import parsed
from bertune.data.readers._shown import shortened
from bertune.data.readers.jsonl import parsed_lines
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".json", ".jsonl")

_HEAD = 1 << 16  # bytes that are read to recognize the format; they must contain the first text
# A list of pairs, one pair per line, or an export of the NER annotator:
# {"classes": […], "annotations": [[…], …]}
_PAIR = rb'(?:\{.*"annotations"\s*:\s*)?(?:\[\s*)?\[\s*".*"\s*,\s*\{\s*"entities"\s*:'
_DOCUMENT = rb'(?:\[\s*)?\{\s*"text"\s*:\s*".*"\s*,\s*"ents"\s*:\s*\['
_START = re.compile(rb"^\s*(?:" + _PAIR + rb"|" + _DOCUMENT + rb")", re.DOTALL)


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether a file starts with a pair of a text and its entities, or with a document."""
    head = first_ascii(path, _HEAD)
    return bool(_START.search(head))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per text: text, spans.

    JSON Lines are streamed. A JSON file is read into memory, and its rows are numbered from 1. Raises
    DataError for another shape.
    """
    if file_suffix(path) == ".jsonl":
        lines = enumerate(text_lines(path, options.encoding), start=1)
        for number, item in parsed_lines(lines, str(path)):
            yield _row(item, Origin(str(path), number))
        return
    content = parsed(path, options)
    if isinstance(content, Mapping):
        content = content.get("annotations", [content])
    for number, item in enumerate(content if isinstance(content, list) else [], start=1):
        if item is not None:  # the NER annotator writes null for an empty line
            yield _row(item, Origin(str(path), number, "text"))


def _row(item: Any, origin: Origin) -> Row:
    text, spans = None, None
    if isinstance(item, Mapping):
        text, spans = item.get("text"), item.get("ents")
    elif isinstance(item, list) and len(item) == 2 and isinstance(item[1], Mapping):
        text, spans = item[0], item[1].get("entities")
    if not isinstance(text, str) or not isinstance(spans, list):
        raise DataError(
            f'{origin}: expected ["text", {{"entities": [[0, 5, "PER"]]}}], or a spaCy document with '
            f'"text" and "ents", found {shortened(str(item))}. Correct the file'
        )
    return Row({"text": text, "spans": spans}, origin)
