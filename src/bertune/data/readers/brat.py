"""Reads brat's standoff format: a folder with a text NAME.txt and its entities NAME.ann for each document."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bertune.config import DataConfig
from bertune.data.encodings import text_lines, whole_text
from bertune.data.readers._shown import shortened
from bertune.data.rows import Origin, Row
from bertune.errors import DataError

SUFFIXES: tuple[str, ...] = ()  # reads folders only

# T1<tab>PER 0 5<tab>Ada L; a discontinuous entity has several ranges, as in PER 0 3;8 12
_ENTITY = re.compile(r"T\S*\t(?P<label>\S+) (?P<ranges>\d+ \d+(?:;\d+ \d+)*)(?:\t(?P<text>.*))?")


def recognises_folder(path: Path) -> bool:
    """Whether a folder has a text with annotations of the same name."""
    return any(note.with_suffix(".txt").is_file() for note in path.glob("*.ann"))


def read(path: Path, options: DataConfig) -> Iterator[Row]:
    """One row per document, in the order of the names: id, text, spans.

    `spans` is None for a text without annotations. Relations, events, attributes and notes are ignored.
    Raises DataError for invalid entities and for annotations without a text.
    """
    notes = {note.stem for note in path.glob("*.ann")}
    if missing := sorted(stem for stem in notes if not (path / f"{stem}.txt").is_file()):
        raise DataError(f"{path / missing[0]}.ann: there is no text {missing[0]}.txt. Add it to the folder")
    for file in sorted(path.glob("*.txt")):
        text = whole_text(file, options.encoding)
        note = file.with_suffix(".ann")
        spans = list(_entities(note, text, options)) if file.stem in notes else None
        yield Row({"id": file.stem, "text": text, "spans": spans}, Origin(str(file), 1))


def _entities(note: Path, text: str, options: DataConfig) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text_lines(note, options.encoding), start=1):
        if not line.startswith("T"):
            continue
        found = _ENTITY.fullmatch(line.rstrip("\r\n"))
        place = f"{note}, line {number}"
        if found is None:
            raise DataError(
                f"{place}: expected an entity such as T1<tab>PER 0 5<tab>Ada L, found {shortened(line)}. "
                "Correct the line"
            )
        ranges = found["ranges"].split(";")
        if len(ranges) > 1:
            raise DataError(
                f"{place}: the entity is discontinuous ({found['ranges']}). Expected one range of "
                "characters. Replace it with one range, or remove the line"
            )
        start, end = map(int, ranges[0].split())
        inside = text[start:end]
        # brat writes a space for a line break in an entity.
        stated = inside if re.sub(r"\s", " ", inside) == found["text"] else found["text"]
        yield {"start": start, "end": end, "label": found["label"], "text": stated}
