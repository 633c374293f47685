"""Owns reading spaCy's training pairs as JSON: [["text", {"entities": [[0, 5, "PER"]]}], …]."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from bertune.config import DataConfig
from bertune.data.encodings import DAMAGED_GZIP, open_bytes
from bertune.data.readers._cells import shortened
from bertune.data.readers._questions import parsed
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES = (".json",)

_HEAD = 1 << 16  # bytes within which the first pair ends
# Bare pairs, or those of the NER annotator: {"classes": […], "annotations": [[…], …]}.
_PAIR = re.compile(rb'^\s*(?:\{.*"annotations"\s*:\s*)?\[\s*\[\s*".*"\s*,\s*\{\s*"entities"\s*:', re.DOTALL)


def recognises(path: Path, options: DataConfig) -> bool:
    """Whether a JSON file begins with a pair of a text and its entities."""
    with open_bytes(path) as file:
        try:
            head = file.read(_HEAD).replace(b"\0", b"").removeprefix(b"\xef\xbb\xbf")
        except DAMAGED_GZIP:
            return False
    return bool(_PAIR.search(head))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """A row for each pair: text, spans. The file is held in memory; a row's line is its number, from 1.

    Raises DataError for another shape.
    """
    content = parsed(path, options)
    pairs = content.get("annotations") if isinstance(content, Mapping) else content
    for number, pair in enumerate(pairs if isinstance(pairs, list) else [], start=1):
        origin = Origin(str(path), number, "text")
        if pair is None:
            continue  # the annotator's mark for an empty line
        is_pair = isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)
        if not is_pair or not isinstance(pair[1], Mapping) or not isinstance(pair[1].get("entities"), list):
            raise DataError(
                f'{origin}: expected ["text", {{"entities": [[0, 5, "PER"]]}}], found {shortened(str(pair))}'
            )
        yield Row({"text": pair[0], "spans": pair[1]["entities"]}, origin)
