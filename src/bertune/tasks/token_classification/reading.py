"""Reading words with their tags or spans from the cells of a row, in all supported formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bertune.data.cell_values import UnreadableCellError, cell_value, is_written_out, plain, read_written
from bertune.data.columns import Columns, cell_text, name_of, refuse_half_characters
from bertune.data.readers._objects import json_kind
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, counted
from bertune.tasks.token_classification.schemes import Span, joined, words_of
from bertune.tasks.token_classification.sentences import words_in
from bertune.text.sequences import Offsets

_FORMS = (
    'one tag per token: ["O", "B-PER"]; or character spans: [[0, 5, "PER"]] or '
    '[{"start": 0, "end": 5, "label": "PER"}]; or [] for no entity'
)
_STARTS, _ENDS = ("start", "start_offset", "begin"), ("end", "end_offset")
_LABELS = ("label", "labels", "type", "entity_group")


@dataclass(frozen=True, slots=True)
class Example:
    """A text, the character offsets of its words, and its gold: one tag per word, or character spans."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    words: tuple[Offsets, ...]
    gold: tuple[str, ...] | tuple[dict[str, Any], ...] | None = None  # span keys: start, end, label
    num_trimmed: int = 0  # spans with leading or trailing spaces, which were removed
    origins: tuple[Origin, ...] = ()  # of the words, if each word has its own row

    @property
    def tags(self) -> tuple[str, ...]:
        """The gold tags; empty if the gold is spans."""
        return tuple(tag for tag in self.gold or () if isinstance(tag, str))

    @property
    def spans(self) -> tuple[Span, ...]:
        """The gold spans; empty if the gold is tags."""
        return tuple(Span(**span) for span in self.gold or () if not isinstance(span, str))


def is_blank(row: Row, columns: Columns) -> bool:
    """Whether a row has no words. Raises DataError for a cell that is neither a text nor a list of tokens."""
    if row.parts:
        return not any(words_in(row, columns.text[0]))
    tokens = _tokens(row, columns.text[0])
    if tokens is not None:
        return not any(token.strip() for token in tokens)
    return not words_of(cell_text(row, columns.text[0]))


def read(row: Row, columns: Columns, rule: str) -> Example:
    """The words and the gold of a row; the gold is None without a label column.

    A text without tokens is split into words by `rule` (see `words_of`). Raises DataError.
    """
    if row.parts:
        return _of_word_rows(row, columns)
    column = columns.text[0]
    row_id = name_of(row, columns)
    gold = None if columns.label is None else _gold(row, columns.label)
    # Span offsets count characters of the cell, so a cell that looks like a list is the text itself.
    has_spans = gold is not None and any(not isinstance(item, str) for item in gold)
    is_text = has_spans and isinstance(row.values.get(column), str)
    tokens = None if is_text else _tokens(row, column)
    if tokens is None and gold and isinstance(gold[0], str):
        tokens = [part for part in cell_text(row, column).split(" ") if part]
    if tokens is not None:
        _check_tokens(row, column, tokens, gold)
        text, words = joined(tokens)
        return Example(row_id, row.origin, (text,), words, None if gold is None else tuple(gold))
    text = cell_text(row, column)
    words = words_of(text, rule)
    if not words:
        raise DataError(f'{row.origin}: column "{column}" contains no words. Remove the row')
    if gold is None:
        return Example(row_id, row.origin, (text,), words)
    spans = [_span(item, text, row.origin) for item in gold]
    for span in spans:
        refuse_half_characters(row, str(columns.label), span.label)
    trimmed = tuple(_trimmed(span, text, row.origin) for span in spans)
    num_trimmed = sum(one != other for one, other in zip(spans, trimmed, strict=True))
    as_dicts = tuple(span._asdict() for span in trimmed)
    return Example(row_id, row.origin, (text,), words, as_dicts, num_trimmed)


def _of_word_rows(row: Row, columns: Columns) -> Example:
    """The words of a sentence with one row per word. Raises DataError with the row of the word."""
    column, label = columns.text[0], columns.label
    words, origins, tags = [], [], []
    for part, word in zip(row.parts, words_in(row, column), strict=True):
        tag = "" if label is None else cell_text(part, label).strip()
        if not word and tag:
            raise DataError(
                f'{part.origin}: the word in column "{column}" is missing, but the row has the tag "{tag}". '
                "Fill in the word or remove the row. pandas.read_csv reads the words NA, null and None as "
                "missing values unless keep_default_na=False"
            )
        if word and not tag and label is not None:
            raise DataError(
                f'{part.origin}: the tag of the word "{word}" in column "{label}" is missing. Fill it in; '
                "use O for words outside of entities"
            )
        if word:
            words.append(word)
            origins.append(part.origin)
            tags.append(tag)
    if not words:
        raise DataError(f'{row.origin}: column "{column}" contains no words. Remove the row')
    text, offsets = joined(words)
    gold = None if label is None else tuple(tags)
    return Example(name_of(row, columns), row.origin, (text,), offsets, gold, origins=tuple(origins))


def _check_tokens(row: Row, column: str, tokens: list[str], gold: list[Any] | None) -> None:
    """Raises DataError for empty tokens, and for gold that is not one tag per token."""
    for number, token in enumerate(tokens, 1):
        if not token:
            raise DataError(f'{row.origin}: token {number} in column "{column}" is empty. Remove it')
    if not any(token.strip() for token in tokens):
        raise DataError(f'{row.origin}: column "{column}" contains no tokens. Remove the row')
    if gold and not isinstance(gold[0], str):
        raise DataError(
            f"{row.origin}: character spans require a text, got a list of tokens. Set data.text to the "
            "column with the text, or provide one tag per token"
        )
    if gold is not None and len(gold) != len(tokens):
        raise DataError(
            f"{row.origin}: {counted(len(tokens), 'token')} but {counted(len(gold), 'tag')}. Provide one tag "
            f'per token. The first token is "{tokens[0]}", the last "{tokens[-1]}"'
        )


def _tokens(row: Row, column: str) -> list[str] | None:
    """The tokens in a cell that is a list, or a list written as text; None if it is a text."""
    cell = plain(row.values.get(column))
    if isinstance(cell, str) and is_written_out(cell):
        cell = _written_tokens(cell)
    if not isinstance(cell, list):
        return None
    if cell and isinstance(cell[0], Mapping) and "text" in cell[0]:  # Prodigy
        cell = [token.get("text") if isinstance(token, Mapping) else token for token in cell]
    for token in cell:
        if not isinstance(token, str):
            raise DataError(
                f'{row.origin}: expected text tokens in column "{column}", got {json_kind(token)}. Correct '
                "the token or remove the row"
            )
        cell_text(Row({column: token}, row.origin), column)
    return list(cell)


def _written_tokens(cell: str) -> list[Any] | None:
    """The list of texts written in a cell; None for a text that only begins with a bracket."""
    try:
        value = read_written(cell)
    except UnreadableCellError:
        return None
    is_list = isinstance(value, list) and value and all(isinstance(token, str) for token in value)
    return value if is_list else None


def _gold(row: Row, column: str) -> list[Any]:
    """The tags in a cell, or its spans as they are written. Raises DataError for anything else."""
    cell = cell_value(row, column, _FORMS)
    if isinstance(cell, str):
        cell = cell.split() or None
    if isinstance(cell, Mapping) and isinstance(cell.get("entities"), list):  # spaCy
        cell = cell["entities"]
    if cell is None:
        raise DataError(
            f'{row.origin}: the label in column "{column}" is missing. Expected {_FORMS}. Rows without '
            "labels can be predicted, but not used for training or evaluation"
        )
    if not isinstance(cell, list):
        raise DataError(
            f'{row.origin}: column "{column}" contains {json_kind(cell)}, {cell!r:.60}. Expected {_FORMS}'
        )
    kinds = {isinstance(item, str | int) and not isinstance(item, bool) for item in cell}
    if len(kinds) > 1:
        raise DataError(
            f'{row.origin}: column "{column}" mixes tags and other values, {cell!r:.80}. Expected {_FORMS}'
        )
    if kinds != {True}:
        return cell
    tags = [str(item).strip() for item in cell]
    for tag in tags:
        refuse_half_characters(row, column, tag)
    if "" in tags:
        raise DataError(
            f'{row.origin}: tag {tags.index("") + 1} in column "{column}" is empty. Use O for words outside '
            "of entities"
        )
    return tags


def _span(item: Any, text: str, origin: Origin) -> Span:
    """A span, checked against its text. Raises DataError."""
    fields: list[Any]
    stated = None
    if isinstance(item, Mapping):
        fields = [
            next((item[key] for key in keys if key in item), None) for keys in (_STARTS, _ENDS, _LABELS)
        ]
        stated = item.get("text")
    else:
        fields = list(item) if isinstance(item, list) else []
    if len(fields) == 3 and isinstance(fields[2], list) and len(fields[2]) == 1:
        fields[2] = fields[2][0]  # Label Studio
    is_valid = len(fields) == 3 and all(map(_is_offset, fields[:2])) and isinstance(fields[2], str)
    if not is_valid:
        raise DataError(f"{origin}: invalid span {item!r:.80}. Expected {_FORMS}")
    start, end, label = fields
    if not label.strip():
        raise DataError(
            f"{origin}: the span from {start} to {end} has an empty label. Fill it in or remove the span"
        )
    if not 0 <= start < end <= len(text):
        what = "is outside the text" if start < end else "is empty"
        raise DataError(
            f'{origin}: the span "{label}" from character {start} to {end} {what}. The text has {len(text)} '
            f'characters, "{text:.30}". Offsets start at 0, and the end offset is exclusive'
        )
    if isinstance(stated, str) and stated.strip() != text[start:end].strip():
        raise DataError(
            f'{origin}: the span "{label}" from character {start} to {end} should be "{stated:.40}", but the '
            f'text there is "{text[start:end]:.40}". Correct the offsets; the end offset is exclusive'
        )
    return Span(start, end, label.strip())


def _trimmed(span: Span, text: str, origin: Origin) -> Span:
    """The span without surrounding spaces. Raises DataError if it contains no word."""
    inside = text[span.start : span.end]
    start = span.start + len(inside) - len(inside.lstrip())
    trimmed = Span(start, start + len(inside.strip()), span.label)
    if not words_of(inside):
        raise DataError(
            f'{origin}: the span "{span.label}" from character {span.start} to {span.end} contains no word, '
            f"only {inside!r:.40}. Correct or remove the span"
        )
    return trimmed


def _is_offset(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
