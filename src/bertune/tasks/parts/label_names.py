"""Label names: a common spelling of booleans, unknown labels, and warnings about labels that look alike."""

import re
import unicodedata
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace

from bertune.data.cell_values import UnreadableCellError, is_written_out, plain, read_written
from bertune.data.columns import cell_text, number_in
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, did_you_mean, listed

# Python and pandas write True, Excel and R write TRUE; booleans from JSON and Parquet are read as true.
_BOOLEANS = {"True": "true", "TRUE": "true", "False": "false", "FALSE": "false"}
# Variants of dashes, quotation marks and i, which word processors and keyboards use in place of each other.
_SAME = str.maketrans(
    dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
    | dict.fromkeys("\u2018\u2019\u201b\u02bc\u00b4`", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f", '"')
    | {"\u0131": "i", "\u0307": None}  # İ in lower case is i and a combining dot
)
# Does not match 1,234, in which the comma may be a thousands separator.
_DECIMAL_COMMA = re.compile(r"[-+]?\d+,(?:\d{1,2}|\d{4,})")
_MOST_SHOWN = 5  # groups of labels listed in a warning


def label_name(label: str) -> str:
    """A label without surrounding spaces; booleans become true and false in lower case."""
    stripped = label.strip()
    return _BOOLEANS.get(stripped, stripped)


def read_label(row: Row, column: str) -> str:
    """The label in a cell; "" if the cell is empty.

    A list of one label is that label, also if it is written as text, as in ['good']. Raises DataError for
    several labels.
    """
    value = plain(row.values.get(column))
    if isinstance(value, str) and is_written_out(value):
        with suppress(UnreadableCellError):  # a label that only begins with a bracket
            read = read_written(value)
            is_list = isinstance(read, list) and read and all(isinstance(item, str) for item in read)
            # [0] is the label 0, but [0, 10] may be the name of an interval.
            is_number = isinstance(read, list) and len(read) == 1 and isinstance(read[0], int | float)
            value = read if is_list or is_number else value
    if isinstance(value, list) and len(value) > 1:
        raise DataError(
            f'{row.origin}: column "{column}" holds {len(value)} labels, {value!r:.60}. Expected one label '
            "per text. For several labels per text, train a model with task.name=multilabel"
        )
    if isinstance(value, list) and len(value) == 1:
        return label_name(cell_text(replace(row, values={column: value[0]}), column))
    return label_name(cell_text(row, column))


def unknown_label(origin: Origin, label: str, labels: Collection[str]) -> DataError:
    """The error for a gold label that is not one of the labels of the model."""
    near = did_you_mean(label, labels)
    hint = f".{near}" if near else f" (labels: {listed(list(labels))})."
    return DataError(
        f'{origin}: the label "{label}" does not occur in the training data{hint} Correct it, remove the '
        "row, or add training texts with this label"
    )


def multi_hot_hint(labels: Collection[str]) -> str:
    """How to read label names such as 0010 as multi-hot vectors; empty if the labels do not look like them.

    They do if all are strings of 0 and 1, one of them with at least three digits, and either all have the
    same length or none begins with 0, so that a spreadsheet may have removed zeros.
    """
    sizes = {len(label) for label in labels}
    is_binary = all(label and not set(label) - {"0", "1"} for label in labels)
    if not is_binary or max(sizes, default=0) < 3:
        return ""
    longest = max(labels, key=len)
    if len(sizes) == 1:
        return (
            f"if each digit of {longest} stands for one of {len(longest)} labels, set task.name=multilabel "
            f"and task.label_format=multi_hot; currently, {longest} is the name of one label"
        )
    if any(label[0] == "0" and len(label) > 1 for label in labels):
        return ""
    return (
        f"if each digit of {longest} stands for one of {len(longest)} labels, a spreadsheet may have removed "
        "zeros on the left: write the cells as text with all digits, and set task.name=multilabel "
        f"and task.label_format=multi_hot; currently, {longest} is the name of one label"
    )


def look_alike_labels(counts: Mapping[str, int]) -> list[tuple[str, ...]]:
    """Groups of labels that differ only in case, Unicode form, quotes, dashes, spaces or number format.

    `counts` maps each label to its number of texts. Groups and labels keep the order of `counts`.
    """
    groups: dict[str, list[str]] = {}
    for label in counts:
        groups.setdefault(_appearance(label), []).append(label)
    return [tuple(group) for group in groups.values() if len(group) > 1]


def look_alike_warnings(counts: Mapping[str, int]) -> list[str]:
    """A warning that lists labels that look alike and their number of texts; an empty list if none do."""
    groups = look_alike_labels(counts)
    if not groups:
        return []
    shown = [" and ".join(f"{_shown(x)} ({counts[x]:,})" for x in group) for group in groups[:_MOST_SHOWN]]
    more = f"; and {len(groups) - _MOST_SHOWN:,} more" if len(groups) > _MOST_SHOWN else ""
    return [
        "labels that differ only in letter case, Unicode form, quotes, dashes, spaces or number format are "
        f"separate labels: {'; '.join(shown)}{more}. If they mean the same, use one spelling"
    ]


def _appearance(label: str) -> str:
    """A normalized form that is equal for labels that look alike."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", label) if not _is_invisible(c))
    text = " ".join(visible.split()).casefold().translate(_SAME).strip("'\"")
    number = number_in(text.replace(",", ".") if _DECIMAL_COMMA.fullmatch(text) else text)
    return text if number is None else repr(number + 0.0)  # -0.0 + 0.0 is 0.0


def _is_invisible(character: str) -> bool:
    """Whether a character is a format character, such as a zero-width space, or a variation selector."""
    return unicodedata.category(character) == "Cf" or "\ufe00" <= character <= "\ufe0f"


def _shown(label: str) -> str:
    """A quoted label, followed by its escapes if it has non-ASCII characters, which may be invisible."""
    return f'"{label}"' if label.isascii() else f'"{label}" [{ascii(label)[1:-1]}]'
