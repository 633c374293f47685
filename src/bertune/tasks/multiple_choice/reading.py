"""Parse a row into a question with choices, and its label into the position of the correct choice."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from bertune.config import Section
from bertune.data.cell_values import (
    UnreadableCellError,
    is_written_out,
    is_written_tuple,
    plain,
    read_written,
)
from bertune.data.columns import Columns, cell_text, refuse_half_characters
from bertune.data.rows import Row
from bertune.errors import DataError, did_you_mean, listed

_DIGITS = 20  # longest number that is parsed as a choice; Python refuses to convert thousands of digits
# A letter alone, or as it is written before a choice: (B), B) or B.
_LETTER = re.compile(r"\(?([A-Za-z])[).:]?")
# (?<!\d) matches only at the first digit of a run: a name may have thousands of digits.
_NUMBERED = re.compile(r"((?<!\d)\d+|(?<![A-Za-z])[A-Za-z])$")


# Usual names of the columns of a question and its choices, one column each.
_SERIES = (
    tuple("ABCD"), tuple("ABCDE"), ("option_a", "option_b", "option_c", "option_d"),
    ("option1", "option2", "option3", "option4"), ("choice1", "choice2", "choice3", "choice4"),
    ("opa", "opb", "opc", "opd"),
)  # fmt: skip
NUMBERED_COLUMNS = (
    *((*texts, "question", *names) for names in _SERIES for texts in ((), ("context",))),
    ("sentence", "option1", "option2"),
)


class MultipleChoiceOptions(Section):
    """Settings under [task] when task.name is multiple_choice."""

    answers: Literal["auto", "number", "number_from_1", "letter", "text"] = Field(
        "auto",
        description="how the label identifies the correct choice: number from 0 or from 1, letter, or text; "
        "auto: number from 0, letter or text, whichever matches",
    )
    choices: int | Literal["auto"] = Field(
        "auto",
        description="how many of the last text columns are choices; auto: one column if it holds lists, "
        "otherwise those with matching names (ending0, ending1 …), otherwise all but the first two",
    )


@dataclass(frozen=True, slots=True)
class Question:
    """The texts before the choices (context, question or both) and the choices of a row."""

    heads: tuple[str, ...]
    choices: tuple[str, ...]
    names: tuple[str, ...] = ()  # names of the choices, if the file has them
    num_columns: int = 0  # number of choice columns; 0 if one cell holds all choices

    @property
    def is_blank(self) -> bool:
        return not any(self.heads) or not any(self.choices)


def read_question(row: Row, columns: Columns, options: MultipleChoiceOptions) -> Question:
    """Parse the question of a row and strip its texts. Raises DataError for cells in another format."""
    *before, last = columns.text
    may_hold = options.choices == "auto" and len(columns.text) <= 3
    held = _held_together(row, last) if may_hold else None
    number = 0
    if held is not None:
        choices, names = _listed_choices(row, last, held)
    else:
        number = num_choice_columns(columns.text, options)
        before, of_choices = list(columns.text[:-number]), columns.text[-number:]
        choices = [cell_text(row, column).strip() for column in of_choices]
        # The answer may be the name of a column, unless that is a letter or a number, which have rules.
        names = [] if any(len(name) < 2 or name.isdecimal() for name in of_choices) else list(of_choices)
        if number == 1 and any(choices):
            raise DataError(
                f'{row.origin}: column "{last}" must hold a list of choices, as in ["a book", "a pen"]; got '
                f'"{choices[0][:60]}". If each choice has its own column, list all of them in data.text and '
                "set task.choices to their number"
            )
    if len(before) not in (1, 2):
        raise DataError(
            f"{row.origin}: there are {len(before)} text columns before the choices"
            f"{f' ({listed(before)})' if before else ''}. Expected a context, a question, or both. Set "
            "data.text, and set task.choices to the number of choice columns"
        )
    heads = tuple(cell_text(row, column).strip() for column in before)
    return Question(heads, tuple(choices), tuple(names), number)


def refuse_incomplete(row: Row, item: Question) -> None:
    """Raise DataError for a question without text, with fewer than two choices, or with an empty choice."""
    if not any(item.heads):
        raise DataError(
            f"{row.origin}: the context and the question are empty. Fill in one of them or remove the row"
        )
    choices = item.choices
    if len(choices) < 2:
        raise DataError(
            f"{row.origin}: a question needs at least two choices; this one has {len(choices)}"
            f"{f': {choices[0][:60]}' if choices else ''}. Add choices or remove the row"
        )
    if "" in choices:
        raise DataError(
            f"{row.origin}: choice {choices.index('')} (from 0) of {len(choices)} is empty. Fill it in or "
            "remove it"
        )


def read_answer(row: Row, column: str, item: Question, options: MultipleChoiceOptions) -> int:
    """The position of the correct choice. Raises DataError if the label matches no choice, or several."""
    cell = cell_text(row, column).strip()
    if not cell:
        raise DataError(
            f'{row.origin}: the answer in column "{column}" is missing. Fill it in or remove the row'
        )
    if cell in item.names:
        return item.names.index(cell)
    answer_format = options.answers
    positions = {
        name: position
        for name, position in _readings(cell, item.choices, isinstance(row.values[column], str)).items()
        if name == answer_format or (answer_format == "auto" and name != "number_from_1")
    }
    if len(set(positions.values())) == 1:
        return next(iter(positions.values()))
    if positions:
        raise DataError(
            f'{row.origin}: the answer "{cell}" is ambiguous: as {" and as ".join(positions)} it refers to '
            f"different choices: {listed(item.choices)}. Set "
            f"task.answers={' or task.answers='.join(positions)}"
        )
    expected = f"not the {answer_format}"
    if answer_format == "auto":
        expected = "neither the text, the letter nor the number (from 0)"
    hint = did_you_mean(cell, item.choices) or " Correct it, or set data.label to another column"
    if cell == str(len(item.choices)) and answer_format in ("auto", "number"):
        hint = " If the numbers start at 1, set task.answers=number_from_1"
    raise DataError(
        f'{row.origin}: the answer "{cell[:60]}" is {expected} of a choice: {listed(item.choices)}.{hint}'
    )


def num_choice_columns(names: tuple[str, ...], options: MultipleChoiceOptions) -> int:
    """The number of choice columns among the text columns `names`, unless one column holds a list of choices.

    By default, these are the last columns whose names differ only in a final number or letter.
    """
    if options.choices != "auto":
        return options.choices
    stems = [_NUMBERED.sub("", name) for name in names]
    alike = next((n for n, stem in enumerate(reversed(stems)) if stem != stems[-1]), len(names))
    if alike > 1 and len(names) - alike in (1, 2):
        return alike
    return max(1, len(names) - 2)


def _held_together(row: Row, column: str) -> Any:
    """The list or object of choices in a cell, which may be written as text; None for any other cell."""
    value = plain(row.values.get(column))
    if isinstance(value, str):
        written = value
        if not is_written_out(written):
            return None
        try:
            value = read_written(written)
        except UnreadableCellError as error:
            if not error.is_fault:  # a choice that begins with a bracket, as in "[laughs] no"
                return None
            raise DataError(f'{row.origin}: in column "{column}", {error}. {error.remedy}') from error
        if is_written_tuple(written) and not all(isinstance(item, str) for item in value):
            return None  # a choice that is a point or an interval, as in (0, 1)
    return value if isinstance(value, list | Mapping) else None


def _listed_choices(row: Row, column: str, held: Any) -> tuple[list[str], list[str]]:
    """Choices given as a list or as {"text": […], "label": […]}, and their names."""
    names: Any = []
    if isinstance(held, Mapping):
        names, held = held.get("label", []), held.get("text")
    if not isinstance(held, list | tuple) or not all(isinstance(item, str | int | float) for item in held):
        value = repr(row.values[column])[:60]
        raise DataError(f'{row.origin}: column "{column}" must hold a list of texts; got {value}')
    if not isinstance(names, list | tuple) or len(names) not in (0, len(held)):
        raise DataError(
            f'{row.origin}: column "{column}" must have a "label" for each of the {len(held)} choices in '
            f'"text", or no "label"; got {names!r:.60}'
        )
    choices, names = [str(item).strip() for item in held], [str(name) for name in names]
    for text in (*choices, *names):
        refuse_half_characters(row, column, text)
    return choices, names


def _readings(cell: str, choices: tuple[str, ...], is_text: bool) -> dict[str, int]:
    """The position of the choice for every answer format that the cell matches."""
    positions: dict[str, int] = {}
    if cell.isdecimal() and len(cell) < _DIGITS:
        positions = {"number": int(cell), "number_from_1": int(cell) - 1}
    elif letter := _LETTER.fullmatch(cell):
        positions = {"letter": ord(letter[1].upper()) - ord("A")}
    positions = {name: position for name, position in positions.items() if 0 <= position < len(choices)}
    if is_text and cell in choices:
        positions["text"] = choices.index(cell)
    return positions
