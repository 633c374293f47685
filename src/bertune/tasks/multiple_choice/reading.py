"""Owns how a row becomes a question with choices, and how its label names the right one."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field

from bertune.config import Section
from bertune.data.columns import Columns, cell_text, refuse_half_characters
from bertune.data.readers._objects import JsonFault, loads
from bertune.data.rows import Row
from bertune.errors import DataError, did_you_mean, listed

_DIGITS = 20  # of the number of a choice; Python does not convert thousands of them
# (?<!\d) lets only the first digit of a run begin a match: names may have thousands of them.
_NUMBERED = re.compile(r"((?<!\d)\d+|(?<![A-Za-z])[A-Za-z])$")


class MultipleChoiceOptions(Section):
    """Settings under [task] when task.name is multiple_choice."""

    answers: Literal["auto", "number", "number_from_1", "letter", "text"] = Field(
        "auto",
        description="how the label says the right choice: its number from 0 or from 1, its letter, its text; "
        "auto: whichever of number from 0, letter and text it can be",
    )
    choices: int | Literal["auto"] = Field(
        "auto",
        description="how many of the text columns, the last ones, are choices; auto: one that holds lists, "
        "else those with like names (ending0, ending1 …), else all but the first two",
    )


@dataclass(frozen=True, slots=True)
class Question:
    """What a row asks: the texts before the choices, context and question or one of them, and the choices."""

    heads: tuple[str, ...]
    choices: tuple[str, ...]
    names: tuple[str, ...] = ()  # of the choices, where the file gives them names
    num_columns: int = 0  # of choices; 0 where one cell holds them all

    @property
    def is_blank(self) -> bool:
        return not any(self.heads) or not any(self.choices)


def read_question(row: Row, columns: Columns, options: MultipleChoiceOptions) -> Question:
    """The question of a row, its texts stripped. Raises DataError where cells are not as the columns say."""
    *before, last = columns.text
    may_hold = options.choices == "auto" and len(columns.text) <= 3
    held = _held_together(row, last) if may_hold else None
    number = 0
    if held is not None:
        choices, names = _listed_choices(row, last, held)
    else:
        number = _num_columns(columns.text) if options.choices == "auto" else options.choices
        before, of_choices = list(columns.text[:-number]), columns.text[-number:]
        choices, names = [cell_text(row, column).strip() for column in of_choices], []
        if number == 1 and any(choices):
            raise DataError(
                f'{row.origin}: column "{last}" must hold a list of choices, as in ["a book", "a pen"]; it '
                f'holds "{choices[0][:60]}". For a column to each choice name them all in data.text, and say '
                "how many they are with task.choices=…"
            )
    if len(before) not in (1, 2):
        raise DataError(
            f"{row.origin}: there are {len(before)} text columns before the choices"
            f"{f' ({listed(before)})' if before else ''}; give a context, a question, or both. Say "
            "data.text=…, and task.choices=… for how many of these hold choices"
        )
    heads = tuple(cell_text(row, column).strip() for column in before)
    return Question(heads, tuple(choices), tuple(names), number)


def refuse_incomplete(row: Row, item: Question) -> None:
    """Raises DataError for a question that cannot be answered."""
    if not any(item.heads):
        raise DataError(
            f"{row.origin}: there is neither a context nor a question. Fill one in or remove the row"
        )
    choices = item.choices
    if len(choices) < 2:
        raise DataError(
            f"{row.origin}: a question needs at least two choices; it has {len(choices)}"
            f"{f': {choices[0][:60]}' if choices else ''}. Add some, or remove the row"
        )
    if "" in choices:
        raise DataError(
            f"{row.origin}: choice {choices.index('')} (from 0) of {len(choices)} is empty. Fill it in, or "
            "leave it out"
        )


def read_answer(row: Row, column: str, item: Question, options: MultipleChoiceOptions) -> int:
    """The position of the right choice. Raises DataError for a label that names none, or two."""
    cell = cell_text(row, column).strip()
    if not cell:
        raise DataError(
            f'{row.origin}: the answer in column "{column}" is missing. Fill it in or remove the row'
        )
    if cell in item.names:
        return item.names.index(cell)
    wanted = options.answers
    found = {
        how: position
        for how, position in _readings(cell, item.choices, isinstance(row.values[column], str)).items()
        if how == wanted or (wanted == "auto" and how != "number_from_1")
    }
    if len(set(found.values())) == 1:
        return next(iter(found.values()))
    if found:
        raise DataError(
            f'{row.origin}: the answer "{cell}" can be read as {" and as ".join(found)}, of different '
            f"choices: {listed(item.choices)}. Say task.answers={' or task.answers='.join(found)}"
        )
    how = "neither the text, the letter nor the number (from 0)" if wanted == "auto" else f"not the {wanted}"
    hint = did_you_mean(cell, item.choices) or " Correct it, or say data.label=…"
    if cell == str(len(item.choices)) and wanted in ("auto", "number"):
        hint = " If the first has the number 1, say task.answers=number_from_1"
    raise DataError(
        f'{row.origin}: the answer "{cell[:60]}" is {how} of a choice: {listed(item.choices)}.{hint}'
    )


def _num_columns(names: tuple[str, ...]) -> int:
    """How many of the last columns are choices, by their names: those that differ in a number or a letter."""
    stems = [_NUMBERED.sub("", name) for name in names]
    alike = next((n for n, stem in enumerate(reversed(stems)) if stem != stems[-1]), len(names))
    if alike > 1 and len(names) - alike in (1, 2):
        return alike
    return max(1, len(names) - 2)


def _held_together(row: Row, column: str) -> Any:
    """The list or object of choices that one cell holds, as JSON where it is a text; None of other cells."""
    value = row.values.get(column)
    if isinstance(value, str):
        if not value.lstrip().startswith(("[", "{")):
            return None
        try:
            value = loads(value)
        except JsonFault as error:
            raise DataError(f'{row.origin}: in column "{column}", {error.msg}. {error.remedy}') from error
        except json.JSONDecodeError:
            return None
    return value if isinstance(value, list | tuple | Mapping) else None


def _listed_choices(row: Row, column: str, held: Any) -> tuple[list[str], list[str]]:
    """Choices given as a list or as {"text": […], "label": […]}, and their names."""
    names: Any = []
    if isinstance(held, Mapping):
        names, held = held.get("label", []), held.get("text")
    if not isinstance(held, list | tuple) or not all(isinstance(item, str | int | float) for item in held):
        seen = repr(row.values[column])[:60]
        raise DataError(f'{row.origin}: column "{column}" must hold a list of texts; it holds {seen}')
    if not isinstance(names, list | tuple) or len(names) not in (0, len(held)):
        raise DataError(
            f'{row.origin}: column "{column}" must have a "label" for each of the {len(held)} choices in '
            f'"text", or no "label"; it has {names!r:.60}'
        )
    choices, names = [str(item).strip() for item in held], [str(name) for name in names]
    for text in (*choices, *names):
        refuse_half_characters(row, column, text)
    return choices, names


def _readings(cell: str, choices: tuple[str, ...], is_text: bool) -> dict[str, int]:
    """Each way to read an answer that leads to a choice."""
    found: dict[str, int] = {}
    if cell.isdecimal() and len(cell) < _DIGITS:
        found = {"number": int(cell), "number_from_1": int(cell) - 1}
    elif len(cell) == 1 and cell.isascii() and cell.isalpha():
        found = {"letter": ord(cell.upper()) - ord("A")}
    found = {how: position for how, position in found.items() if 0 <= position < len(choices)}
    if is_text and cell in choices:
        found["text"] = choices.index(cell)
    return found
