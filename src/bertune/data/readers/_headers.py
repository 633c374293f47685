"""Header detection: whether the first record of a table holds the column names, and what they are."""

import csv
import statistics
from collections.abc import Collection, Iterable, Sequence

from bertune.config import DataConfig
from bertune.data.readers._cells import makes_table
from bertune.errors import DataError

# The header of a column is a short name: "Kommentar", "customer feedback", "body_text".
_LONGEST_NAME = 30  # characters
_MOST_WORDS = 3
# Characters; the decision on a longer first line is not noted. The question of a survey may be a header.
_LONGEST_SHOWN = 80
_SENTENCE_ENDS = (".", "!", "?", "…", "。", "！", "？")
_MOST_TITLES = 10  # first records that are searched for a header below a title
# How many times longer than a name texts must be, if the name has several words or no spaces (as in Chinese).
_TIMES_LONGER = 2
_INVISIBLE = "\ufeff\u200b\u200c\u200d\u200e\u200f\u2060"

Record = Sequence[str]


def has_header(
    name: str,
    sample: Sequence[Record],
    options: DataConfig,
    known_names: Collection[str],
    likely_header: bool,
    is_plain: bool = False,
) -> tuple[bool, list[str]]:
    """Whether the first record is a header, and notes for the user. `name` is the path.

    The record is a header if one of its cells is in `known_names` or is a column name from the options. With
    `likely_header`, if the text column is the only one or is set by number, the record is also a header if
    that cell looks like a name for the texts below it, unless the file `is_plain` text.
    """
    if options.header != "auto":
        return options.header, []
    if not sample or names_columns(sample[0], options, known_names):
        return bool(sample), []
    _refuse_lines_above(name, sample, known_names)
    text = _text_position(sample[0], options)
    if not likely_header or text is None:
        return False, _label_note(name, sample, options.label)
    first, *others = [cells[text].strip() for cells in sample]
    if first in others or not others or len(first) > _LONGEST_SHOWN:
        return False, []
    is_name = (_is_short_name(first) and _names_texts(first, others)) or _is_number_of_column(first, others)
    if is_plain and not is_name:
        return False, []
    if is_name and not is_plain:
        return True, [
            f'{name}: line 1, "{first}", is read as the header; if it is a text, set data.header=false'
        ]
    return False, [f'{name}: line 1, "{first}", is read as a text; if it is a header, set data.header=true']


def _refuse_lines_above(name: str, sample: Sequence[Record], known_names: Collection[str]) -> None:
    """Raises DataError if one of the next records has several known names, below lines such as a title."""
    known = {known.casefold() for known in known_names}
    above = next((cell for cell in map(_visible, sample[0]) if cell), "")
    for cells in sample[1:_MOST_TITLES]:
        named = [cell for cell in map(_visible, cells) if cell.casefold() in known]
        if len(set(named)) > 1:
            raise DataError(
                f"{name}: the header ({', '.join(named)}) is below other rows, the first of which is "
                f'"{above[:60]}". Expected it in the first row that is not empty. Remove the rows above it, '
                "or set data.header=false if the row is data"
            )


def refuse_quoted_lines(
    name: str, sample: Sequence[Record], options: DataConfig, known_names: Collection[str]
) -> None:
    """Raises DataError for a table whose lines are each enclosed in quotes, so that it has a single column.

    A spreadsheet program writes such a file if it has opened a table as one column.
    """
    lines = [cells[0] for cells in sample if cells]
    if not lines or any(len(cells) != 1 for cells in sample):
        return
    for sign in (",", ";", "\t", "|"):
        names = next(csv.reader(lines[:1], delimiter=sign), [])
        if len(names) > 1 and names_columns(names, options, known_names) and makes_table(lines, sign, True):
            raise DataError(
                f"{name}, line 1: the whole line is enclosed in quotes, so the table has a single column, "
                f'"{lines[0][:60]}". Expected the columns {", ".join(names[:6])}. Remove the outer quotes of '
                'each line and replace "" inside them with ", or export the table again'
            )


def header_names(place: str, cells: Record, below: Iterable[Record]) -> list[str]:
    """The column names in a header, without trailing unnamed columns that are empty in the records `below`.

    Raises DataError for any other column without a name, and for a duplicate name.
    """
    names = [_visible(cell) for cell in cells]
    if len(names) > 1 and not names[0]:
        names[0] = "0"  # the row index, which pandas writes without a name; SWAG is published that way
    num_named = max((i for i, name in enumerate(names, start=1) if name), default=1)
    if num_named < len(names) and not any(_filled(record, num_named) for record in below):
        names = names[:num_named]
    for number, name in enumerate(names):
        if not name:
            raise DataError(
                f"{place}: the header has no name for column {number} (counted from 0)."
                " Add one (pandas: to_csv(index=False)), or set data.header=false if the line is data"
            )
        if name in names[:number]:
            raise DataError(
                f"{place}: columns {names.index(name)} and {number} (counted from 0) are both named"
                f' "{name}". Rename one of them, or set data.header=false if the line is data'
            )
    return names


def refuse_unnamed(place: str, cells: Sequence[object], num_named: int) -> None:
    """Raises DataError for a record with a value in a column that has no name in the header."""
    at = _filled(cells, num_named)
    if at is not None:
        raise DataError(
            f"{place}: column {at} (counted from 0) contains {str(cells[at])[:60]!r}, but the header has no"
            " name for it. Add a name, or remove the cell"
        )


def _filled(cells: Sequence[object], start: int) -> int | None:
    """The first position from `start` on with a non-empty cell."""
    filled = (i for i in range(start, len(cells)) if cells[i] is not None and str(cells[i]).strip())
    return next(filled, None)


def _visible(cell: str) -> str:
    """A column name without surrounding spaces and invisible characters, which web pages and exports add."""
    return cell.strip().strip(_INVISIBLE).strip()


def names_columns(cells: Iterable[str], options: DataConfig, known_names: Collection[str]) -> bool:
    """Whether one of the cells is in `known_names` or is a column name from the options."""
    roles = (options.label, options.id, options.group, options.time, options.split_column)
    given = [*(options.text or ()), *(role or "" for role in roles)]
    names = {name.strip().casefold() for name in (*known_names, *given)}
    names = {name for name in names if name and not name.isdecimal()}
    return any(_visible(cell).casefold() in names for cell in cells)


def _text_position(cells: Record, options: DataConfig) -> int | None:
    """The position of the text column, if it is the only column or is set by number."""
    if options.text is None:
        return 0 if len(cells) == 1 else None
    given = options.text[0]
    is_position = len(options.text) == 1 and given.isdecimal() and len(given) < 10
    return int(given) if is_position and int(given) < len(cells) else None


def _is_number_of_column(cell: str, texts: Sequence[str]) -> bool:
    """Whether a cell above texts is 0, the column name that pandas writes for a Series without a name."""
    return cell == "0" and any(char.isalpha() for text in texts for char in text)


def _is_short_name(cell: str) -> bool:
    has_letter = any(char.isalpha() for char in cell)
    return (
        has_letter
        and len(cell) <= _LONGEST_NAME
        and len(cell.split()) <= _MOST_WORDS
        and not cell.endswith(_SENTENCE_ENDS)
    )


def _names_texts(name: str, texts: Sequence[str]) -> bool:
    """Whether a short name is a header of longer texts: one word above several, or at most half as long."""
    if len(name.split()) == 1 and statistics.median(len(text.split()) for text in texts) > 1:
        return True
    return statistics.median(map(len, texts)) >= _TIMES_LONGER * len(name)


def _label_note(file: str, sample: Sequence[Record], label: str | None) -> list[str]:
    """A note if the label of the first line is unlike all others, so that the line may be a header."""
    if label is None or not label.isdecimal() or not sample or int(label) >= len(sample[0]):
        return []
    first, *others = (cells[int(label)] for cells in sample)
    if first in others or len(set(others)) == len(others):
        return []
    return [
        f'{file}: line 1 is read as data, although its label "{first}" does not occur again;'
        " if it is a header, set data.header=true"
    ]
