"""The table of likely label errors, and how to correct them."""

import shlex
from dataclasses import dataclass
from pathlib import Path

from bertune.errors import counted
from bertune.files import read_object
from bertune.manifest.label_errors import LabelErrorRecord, LabelErrorsRecord
from bertune.record import checked
from bertune.reporting.table import Cell, PageTable, users
from bertune.reporting.wording import count, percent, visible
from bertune.run import PREDICTIONS

_MOST_CHARACTERS = 240  # shown per text


@dataclass(frozen=True)
class LabelErrors:
    """The likely label errors of one split, ready for the template."""

    split: str
    number: int
    sentence: str
    table: PageTable | None
    file: str  # that holds all rows, in the folder of the run; empty if there is nothing to correct
    command: str  # trains from the corrected file


def read_label_errors(folder: Path, splits: tuple[str, ...]) -> list[LabelErrors]:
    """The recorded label errors of each split; `folder` is the run folder."""
    found = []
    for split in splits:
        file = folder / PREDICTIONS / f"{split}.label-errors.json"
        if file.is_file():
            content = read_object(file)
            checked(LabelErrorsRecord, content, file)
            found.append(_read(folder, split, LabelErrorsRecord.model_validate(content)))
    return found


def num_label_errors(folder: Path, split: str) -> int:
    """The number of likely label errors of a split."""
    file = folder / PREDICTIONS / f"{split}.label-errors.json"
    if not file.is_file():
        return 0
    content = read_object(file)
    checked(LabelErrorsRecord, content, file)
    return LabelErrorsRecord.model_validate(content).num_likely or 0


def _read(folder: Path, split: str, record: LabelErrorsRecord) -> LabelErrors:
    rows = [_row(one) for one in record.shown or []]
    number, noun = record.num_likely or 0, record.noun or "text"
    units = counted(record.num or 0, f"{split} {noun}")
    sentence = f"{count(number)} of {units} may be mislabelled."
    if not number:
        sentence = f"No likely label errors were found in {units}."
    if number > len(rows) > 0:
        sentence += f" The {count(len(rows))} most likely ones are shown."
    sentence += f" {visible(record.rule)}" if record.rule else ""
    path = folder / (record.file or "")
    command = " ".join(["bertune train", shlex.quote(str(path)), *(record.settings or [])])
    table = PageTable("label-errors", ["label", "suggested", "text", "p (label)"], rows, num_text=3)
    file = visible(record.file) if record.file and number else ""
    return LabelErrors(split, number, sentence, table if rows else None, file, command)


def _row(one: LabelErrorRecord) -> list[Cell]:
    text = " | ".join(one.texts or [])
    cut = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]} …"
    place = (one.source or "").rpartition("/")[2]
    return [
        users(one.given),
        Cell(visible(one.suggested or ""), is_users=True),
        Cell(visible(cut), note=visible(place), is_users=True),
        Cell(percent(one.score, 1)),
    ]
