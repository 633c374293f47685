"""Parse the answers of a row, with their offsets if the file has them.

Supported formats are the list of objects of SQuAD, the object of two lists of the Hugging Face data sets,
either of them as text in a CSV cell, and a text column with a separate offset column.
"""

from collections.abc import Mapping
from typing import Any

from bertune.data.cell_values import cell_value, is_written_out, plain
from bertune.data.columns import cell_text, number_in, refuse_half_characters
from bertune.data.rows import Row
from bertune.errors import DataError

# Offset columns next to a column of answer texts, as in tables derived from SQuAD.
START_COLUMNS = ("answer_start", "answers_start", "answer_starts", "answers.answer_start", "start")
_STARTS = ("answer_start", "start")  # keys of the offset in an answer
FORMS = (
    '[{"text": "…", "answer_start": 0}, …] or {"text": ["…"], "answer_start": [0]}, as JSON or as a Python '
    'literal; or the answer text, with its offset in a column "answer_start" unless it occurs only once'
)

WrittenAnswer = tuple[str, int | None]  # text, and its offset in the file; None if the file has none


def written_answers(
    row: Row, column: str, context: str, location: str, *, may_be_empty: bool
) -> list[WrittenAnswer]:
    """The answers of a row; empty if the file marks the question as unanswerable.

    An empty cell is an error unless `may_be_empty`. Raises DataError.
    """
    starts = _start_column(row, column)
    raw = plain(row.values.get(column))
    # An answer text may itself begin with a bracket; in that case it occurs in the context.
    is_text = isinstance(raw, str) and (
        not is_written_out(raw) or (raw.strip() != "[]" and raw.strip() in context)
    )
    value = raw if is_text else cell_value(row, column, FORMS)
    if isinstance(value, bool | int | float):
        value = cell_text(row, column)
    if value is None or (isinstance(value, str) and not value.strip()):
        if may_be_empty or (starts is not None and _starts(row, starts, 1, location) == [-1]):
            return []
        raise DataError(
            f'{location}: column "{column}" is empty. Expected {FORMS}. Write [] if the question has no '
            "answer. A file without answers can be predicted but not used to train or evaluate"
        )
    answers = _answers(value, row, column, starts, location)
    for text, _ in answers:
        refuse_half_characters(row, column, text)
    return answers


def read_is_impossible(row: Row, location: str) -> bool | None:
    """The value of the column is_impossible; None if it is missing or empty. Raises DataError."""
    value = plain(row.values.get("is_impossible"))
    if value is None or isinstance(value, bool):
        return value
    values = {"": None, "true": True, "1": True, "false": False, "0": False}
    written = cell_text(row, "is_impossible").strip().casefold()
    if written not in values:
        raise DataError(
            f"{location}: is_impossible must be true or false, got {value!r:.40}. Correct or remove it"
        )
    return values[written]


def _answers(value: Any, row: Row, column: str, starts: str | None, location: str) -> list[WrittenAnswer]:
    if isinstance(value, Mapping) and "text" in value:
        texts = value["text"]
        given = next((value[key] for key in _STARTS if key in value), None)
        if isinstance(texts, str):
            return [_answer(texts, given, column, location)]
        offsets = [None] * len(texts) if given is None and isinstance(texts, list) else given
        if not (isinstance(texts, list) and isinstance(offsets, list) and len(texts) == len(offsets)):
            raise DataError(
                f'{location}: "{column}" must hold two lists of the same length, text and answer_start; got '
                f"{value!r:.80}"
            )
        return [_answer(text, start, column, location) for text, start in zip(texts, offsets, strict=True)]
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        wrong = next((item for item in value if "text" not in item), None)
        if wrong is not None:
            raise DataError(
                f'{location}: an answer must be {{"text": "…", "answer_start": 0}}; got {wrong!r:.60}'
            )
        given = [next((item[key] for key in _STARTS if key in item), None) for item in value]
        return [_answer(v["text"], start, column, location) for v, start in zip(value, given, strict=True)]
    texts = [value] if isinstance(value, str) else value
    if not (isinstance(texts, list) and all(isinstance(text, str) for text in texts)):
        raise DataError(f'{location}: "{column}" must be {FORMS}; got {value!r:.60}')
    offsets = [None] * len(texts) if starts is None else _starts(row, starts, len(texts), location)
    return [(text, start) for text, start in zip(texts, offsets, strict=True)]


def _answer(text: Any, start: Any, column: str, location: str) -> WrittenAnswer:
    is_number = isinstance(start, int) and not isinstance(start, bool)
    if not isinstance(text, str) or not (start is None or is_number):
        raise DataError(
            f'{location}: an answer in "{column}" must have a text and, as answer_start, the position of its '
            f"first character in the context; got {text!r:.60} and {start!r:.20}"
        )
    return text, start


def _start_column(row: Row, column: str) -> str | None:
    """The column with the answer offsets, if the table has one."""
    folded = {str(name).strip().casefold(): str(name) for name in row.values}
    return next((folded[name] for name in START_COLUMNS if name in folded and folded[name] != column), None)


def _starts(row: Row, column: str, num: int, location: str) -> list[int | None]:
    """The offsets of `num` answers; None for each if the cell is empty. Raises DataError."""
    value = cell_value(row, column, "the position of the answer's first character, or a list of them")
    if value is None or value == "":
        return [None] * num
    items = value if isinstance(value, list) else [value]
    numbers = [number_in(str(item)) for item in items]
    if len(items) != num or any(number is None or number != int(number) for number in numbers):
        expected = "an integer" if num == 1 else f"a list of {num} integers, one per answer"
        raise DataError(
            f'{location}: "{column}" must be {expected}, the position of the first character in the context '
            f"counted from 0; got {value!r:.40}. Correct it, or leave the cell empty"
        )
    return [int(number) for number in numbers if number is not None]
