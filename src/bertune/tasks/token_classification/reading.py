"""Owns the words of a row and what it says about them, tags or spans, in the forms that files have them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bertune.data.columns import Columns, cell_text, name_of, refuse_half_characters
from bertune.data.readers._objects import JsonFault, json_kind, loads, python_literal
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.tasks.token_classification.schemes import Span, joined, words_of
from bertune.text.sequences import Offsets

_FORMS = (
    'tags, one for each token: ["O", "B-PER"]; or spans of characters: [[0, 5, "PER"]] or '
    '[{"start": 0, "end": 5, "label": "PER"}]; or [] where there is none'
)
_STARTS, _ENDS = ("start", "start_offset", "begin"), ("end", "end_offset")
_LABELS = ("label", "labels", "type", "entity_group")


@dataclass(frozen=True, slots=True)
class Example:
    """A text, the offsets of its words, and its gold: a tag for each word, or spans of characters."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    words: tuple[Offsets, ...]
    gold: tuple[str, ...] | tuple[dict[str, Any], ...] | None = None  # a span: start, end, label
    num_trimmed: int = 0  # spans that began or ended with spaces

    @property
    def tags(self) -> tuple[str, ...]:
        """The gold where it is tags."""
        return tuple(tag for tag in self.gold or () if isinstance(tag, str))

    @property
    def spans(self) -> tuple[Span, ...]:
        """The gold where it is spans."""
        return tuple(Span(**span) for span in self.gold or () if not isinstance(span, str))


def is_blank(row: Row, columns: Columns) -> bool:
    """Whether there is no word in a row. Raises DataError for what is neither a text nor a list of tokens."""
    tokens = _tokens(row, columns.text[0])
    if tokens is not None:
        return not any(token.strip() for token in tokens)
    return not words_of(cell_text(row, columns.text[0]))


def read(row: Row, columns: Columns, rule: str) -> Example:
    """The words of a row, by a rule where it is a text, and its gold, None without a label column.

    Raises DataError.
    """
    column = columns.text[0]
    row_id = name_of(row, columns)
    tokens = _tokens(row, column)
    gold = None if columns.label is None else _gold(row, columns.label)
    if tokens is None and gold and isinstance(gold[0], str):
        tokens = [part for part in cell_text(row, column).split(" ") if part]
    if tokens is not None:
        _check_tokens(row, column, tokens, gold)
        text, words = joined(tokens)
        return Example(row_id, row.origin, (text,), words, None if gold is None else tuple(gold))
    text = cell_text(row, column)
    words = words_of(text, rule)
    if not words:
        raise DataError(f'{row.origin}: there is no word in column "{column}". Remove the row')
    if gold is None:
        return Example(row_id, row.origin, (text,), words)
    spans = [_span(item, text, row.origin) for item in gold]
    for span in spans:
        refuse_half_characters(row, str(columns.label), span.label)
    trimmed = tuple(_trimmed(span, text, row.origin) for span in spans)
    num_trimmed = sum(one != other for one, other in zip(spans, trimmed, strict=True))
    as_dicts = tuple(span._asdict() for span in trimmed)
    return Example(row_id, row.origin, (text,), words, as_dicts, num_trimmed)


def _check_tokens(row: Row, column: str, tokens: list[str], gold: list[Any] | None) -> None:
    """Raises DataError for tokens that are no words, and for gold that is not a tag for each."""
    for number, token in enumerate(tokens, 1):
        if not token:
            raise DataError(f'{row.origin}: token {number} in column "{column}" is empty; remove it')
    if not any(token.strip() for token in tokens):
        raise DataError(f'{row.origin}: there is no token in column "{column}". Remove the row')
    if gold and not isinstance(gold[0], str):
        raise DataError(
            f"{row.origin}: spans of characters need the text itself, not a list of tokens. Give the column "
            "with the text as data.text=…, or a tag for each token"
        )
    if gold is not None and len(gold) != len(tokens):
        raise DataError(
            f"{row.origin}: {len(tokens)} tokens but {len(gold)} tags; give every token one tag. The first "
            f'is "{tokens[0]}", the last "{tokens[-1]}"'
        )


def _tokens(row: Row, column: str) -> list[str] | None:
    """The tokens in a cell; None where it holds a text."""
    cell = _plain(row.values.get(column))
    if not isinstance(cell, list):
        return None
    if cell and isinstance(cell[0], Mapping) and "text" in cell[0]:  # Prodigy's
        cell = [token.get("text") if isinstance(token, Mapping) else token for token in cell]
    for token in cell:
        if not isinstance(token, str):
            raise DataError(f'{row.origin}: a token in column "{column}" is {json_kind(token)}, not a text')
        cell_text(Row({column: token}, row.origin), column)
    return list(cell)


def _gold(row: Row, column: str) -> list[Any]:
    """Tags as texts, or spans as they are written. Raises DataError for anything else."""
    cell = _plain(row.values.get(column))
    if isinstance(cell, str):
        cell = _listed(cell, row.origin) if cell.lstrip().startswith("[") else cell.split() or None
    if isinstance(cell, Mapping) and isinstance(cell.get("entities"), list):  # spaCy's
        cell = cell["entities"]
    if cell is None:
        raise DataError(
            f'{row.origin}: there is nothing in "{column}"; write {_FORMS}. Without a label a row can be '
            "predicted but not learned or scored"
        )
    if not isinstance(cell, list):
        raise DataError(f'{row.origin}: "{column}" is {json_kind(cell)}, {cell!r:.60}; write {_FORMS}')
    kinds = {isinstance(item, str | int) and not isinstance(item, bool) for item in cell}
    if len(kinds) > 1:
        raise DataError(f'{row.origin}: "{column}" mixes tags and other things, {cell!r:.80}; write {_FORMS}')
    if kinds != {True}:
        return cell
    tags = [str(item).strip() for item in cell]
    for tag in tags:
        refuse_half_characters(row, column, tag)
    if "" in tags:
        raise DataError(f'{row.origin}: tag {tags.index("") + 1} in "{column}" is empty; O is for no entity')
    return tags


def _listed(cell: str, origin: Origin) -> Any:
    """A list that is written out in a cell of a table, as JSON or as Python prints it."""
    try:
        return loads(cell)
    except JsonFault as error:
        raise DataError(
            f"{origin}: a label begins like a list but cannot be read: {error.msg}. {error.remedy}"
        ) from error
    except json.JSONDecodeError:
        pass  # Python writes lists with single quotes
    try:
        return python_literal(cell)
    except ValueError as error:
        raise DataError(
            f"{origin}: a label begins like a list but cannot be read as one: {cell:.60}; write {_FORMS}"
        ) from error


def _span(item: Any, text: str, origin: Origin) -> Span:
    """One span, checked against its text. Raises DataError."""
    item = _plain(item)
    found: list[Any]
    stated = None
    if isinstance(item, Mapping):
        found = [next((item[key] for key in keys if key in item), None) for keys in (_STARTS, _ENDS, _LABELS)]
        stated = item.get("text")
    else:
        found = list(item) if isinstance(item, list) else []
    if len(found) == 3 and isinstance(found[2], list) and len(found[2]) == 1:
        found[2] = found[2][0]  # Label Studio's
    if len(found) != 3 or not (_is_place(found[0]) and _is_place(found[1]) and isinstance(found[2], str)):
        raise DataError(f"{origin}: a span of an unknown form, {item!r:.80}; write {_FORMS}")
    start, end, label = found
    if not label.strip():
        raise DataError(f"{origin}: the span from {start} to {end} has an empty label; name it or remove it")
    if not 0 <= start < end <= len(text):
        what = "is outside the text" if start < end else "has no length"
        raise DataError(
            f'{origin}: the span "{label}" from character {start} to {end} {what}; the text has {len(text)} '
            f'characters, "{text:.30}". Characters count from 0, and the end is the last + 1'
        )
    if isinstance(stated, str) and stated.strip() != text[start:end].strip():
        raise DataError(
            f'{origin}: the span "{label}" from character {start} to {end} is said to be "{stated:.40}", but '
            f'there stands "{text[start:end]:.40}". Correct its place; the end is the last character + 1'
        )
    return Span(start, end, label.strip())


def _trimmed(span: Span, text: str, origin: Origin) -> Span:
    """A span without spaces around it. Raises DataError where nothing else is in it."""
    inside = text[span.start : span.end]
    start = span.start + len(inside) - len(inside.lstrip())
    trimmed = Span(start, start + len(inside.strip()), span.label)
    if not words_of(inside):
        raise DataError(
            f'{origin}: there is no word in the span "{span.label}", character {span.start} to {span.end}, '
            f"which is {inside!r:.40}. Correct or remove it"
        )
    return trimmed


def _is_place(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _plain(value: Any) -> Any:
    """Arrays and tuples, where a table came from Python, as lists."""
    value = value.tolist() if hasattr(value, "tolist") else value
    return list(value) if isinstance(value, tuple) else value
