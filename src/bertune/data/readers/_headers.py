"""Decides whether the first record of a table names its columns, and takes the names from it."""

import statistics
from collections.abc import Collection, Iterable, Sequence

from bertune.config import DataConfig
from bertune.errors import DataError

# A header of a column is a short name: "Kommentar", "customer feedback", "body_text".
_LONGEST_NAME = 30  # characters
_MOST_WORDS = 3
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
# Texts are at least so many times as long as a name of several words, or of a language without spaces.
_TIMES_LONGER = 2

Record = Sequence[str]


def has_header(
    name: str,
    sample: Sequence[Record],
    options: DataConfig,
    known_names: Collection[str],
    likely_header: bool,
) -> tuple[bool, list[str]]:
    """Whether the first record is a header, and what to tell the user of it; `name` is that of the file.

    It is one if a cell of it is one of `known_names` or a column's given name. With `likely_header`, where
    the text column is the only one, or is given by number, it is also one if that cell looks like a name of
    the texts below it.
    """
    if options.header != "auto":
        return options.header, []
    if not sample or _names_columns(sample[0], options, known_names):
        return bool(sample), []
    text = _text_position(sample[0], options)
    if not likely_header or text is None:
        return False, _label_doubt(name, sample, options.label)
    first, *others = [cells[text].strip() for cells in sample]
    if not _is_short_name(first) or first in others or not others:
        return False, []
    if _names_texts(first, others):
        return True, [
            f'{name}: line 1, "{first}", is taken as the header; if it is a text, set data.header=false'
        ]
    return False, [f'{name}: line 1, "{first}", is taken as a text; if it is a header, set data.header=true']


def header_names(place: str, cells: Record, below: Iterable[Record]) -> list[str]:
    """The column names in a header, without unnamed columns at its end that are empty in the records `below`.

    Raises DataError for another column without a name, and for a name that occurs twice.
    """
    names = [cell.strip() for cell in cells]
    if len(names) > 1 and not names[0]:
        names[0] = "0"  # the number of the row, as pandas writes it, and SWAG is published
    num_named = max((i for i, name in enumerate(names, start=1) if name), default=1)
    if num_named < len(names) and not any(_filled(record, num_named) for record in below):
        names = names[:num_named]
    for number, name in enumerate(names):
        if not name:
            raise DataError(
                f"{place}: the header has no name for column {number} (counted from 0);"
                " write one (pandas: to_csv(index=False)), or say data.header=false if the line is data"
            )
        if name in names[:number]:
            raise DataError(
                f"{place}: the header names columns {names.index(name)} and {number} both"
                f' "{name}"; give each a name of its own, or say data.header=false if the line is data'
            )
    return names


def refuse_unnamed(place: str, cells: Sequence[object], num_named: int) -> None:
    """Raises DataError for a record with something in a column for which the header has no name."""
    at = _filled(cells, num_named)
    if at is not None:
        raise DataError(
            f"{place}: column {at} (counted from 0) holds {str(cells[at])[:60]!r}, but the header has no name"
            " for it. Write one, or remove the cell"
        )


def _filled(cells: Sequence[object], start: int) -> int | None:
    """The first position from `start` on that is not empty."""
    filled = (i for i in range(start, len(cells)) if cells[i] is not None and str(cells[i]).strip())
    return next(filled, None)


def _names_columns(cells: Iterable[str], options: DataConfig, known_names: Collection[str]) -> bool:
    given = [*(options.text or ()), options.label or "", options.id or ""]
    names = {name.strip().casefold() for name in (*known_names, *given)}
    names = {name for name in names if name and not name.isdecimal()}
    return any(cell.strip().casefold() in names for cell in cells)


def _text_position(cells: Record, options: DataConfig) -> int | None:
    """The position of the text where only one column can be it."""
    if options.text is None:
        return 0 if len(cells) == 1 else None
    given = options.text[0]
    is_position = len(options.text) == 1 and given.isdecimal() and len(given) < 10
    return int(given) if is_position and int(given) < len(cells) else None


def _is_short_name(cell: str) -> bool:
    has_letter = any(char.isalpha() for char in cell)
    return (
        has_letter
        and len(cell) <= _LONGEST_NAME
        and len(cell.split()) <= _MOST_WORDS
        and not cell.endswith(_SENTENCE_ENDS)
    )


def _names_texts(name: str, texts: Sequence[str]) -> bool:
    """Whether a short name stands above texts that are longer: one word above several, or half as long."""
    if len(name.split()) == 1 and statistics.median(len(text.split()) for text in texts) > 1:
        return True
    return statistics.median(map(len, texts)) >= _TIMES_LONGER * len(name)


def _label_doubt(file: str, sample: Sequence[Record], label: str | None) -> list[str]:
    """A note when the first line looks like a header that nothing known proves."""
    if label is None or not label.isdecimal() or not sample or int(label) >= len(sample[0]):
        return []
    first, *others = (cells[int(label)] for cells in sample)
    if first in others or len(set(others)) == len(others):
        return []
    return [
        f'{file}: line 1 is taken as data, though its label "{first}" does not occur again;'
        " if it names the columns, say data.header=true"
    ]
