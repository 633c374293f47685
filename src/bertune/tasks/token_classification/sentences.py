"""Tables with one word per row: the rows of a sentence are merged into one row, which keeps them as parts."""

import re
from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from itertools import chain, islice

from bertune.data.columns import cell_text, find_column
from bertune.data.rows import Row
from bertune.data.tables import Table
from bertune.errors import DataError, did_you_mean, listed

AUTO, NONE = "auto", "none"  # values of task.sentence other than column names
# Usual column names, in lower case and without punctuation and spaces: "Sentence #" becomes "sentence".
_SENTENCES, _DOCUMENTS = (
    frozenset(
        word + ending for word in words for ending in ("", "id", "idx", "index", "no", "nr", "num", "number")
    )
    for words in (("sentence", "sent", "satz"), ("document", "doc", "dokument"))
)
_CHINESE = frozenset(("句子编号", "句子id", "句子序号", "句子", "句id"))
_WORDS = ("word", "token", "words", "tokens", "form", "text", "wort", "词", "字", "词语", "单词", "字符")
# What pandas, R, databases and spreadsheets write for an empty cell, in lower case.
_EMPTY = frozenset(("nan", "none", "null", "na", "n/a", "#n/a", "<na>", "nat", "\\n"))
_HEAD = 200  # rows checked to decide whether a table has one word per row
_MAX_SPACED = 0.05  # share of words that may contain spaces, such as numbers written 10 000
_MAX_WORDS = 1_000_000  # per sentence: a constant column would make the whole table one sentence


def grouped(
    table: Table, setting: str, text: SequenceOf[str] | None, label: str | None, required: bool
) -> Table:
    """The table with the rows of each sentence merged, if it has one word per row; otherwise unchanged.

    `setting` is task.sentence: comma-separated column names, auto or none. With `required`, the named columns
    must exist. Raises DataError.
    """
    if setting == NONE:
        return table
    named = setting != AUTO
    keys = _given(table, setting, required) if named else ()
    if not keys:
        named = False
        keys = _usual(table)
    word = _word_column(table, text, keys)
    if not keys or word is None:
        if named:
            raise DataError(
                f"{table.name}: task.sentence={setting} requires one word per row, but no column of words "
                f"was found (columns: {listed(table.columns)}). Set data.text to the column of the words"
            )
        return table
    rows = table.rows()
    head = list(islice(rows, _HEAD))
    again = [chain(head, rows)]  # a stream can only be read once, so reuse its head

    def read() -> Iterator[Row]:
        return again.pop() if again else table.rows()

    if not named and not _is_word_per_row(head, word, keys, label):
        return replace(table, rows=read)
    _refuse_lists(head, word, setting)
    quoted = " and ".join(f'"{key}"' for key in keys)
    note = f'{table.name}: one word per row (column "{word}"); rows with the same {quoted} form one text'
    return replace(
        table,
        rows=lambda: _sentences(read(), keys),
        notes=(*table.notes, note),
        text=(word,),
        ungrouped=replace(table, rows=read),
    )


def words_in(row: Row, column: str) -> list[str]:
    """The word of each part of a row, "" if there is none. Raises DataError for lists and objects."""
    return [cell_text(part, column).strip() for part in row.parts]


def _given(table: Table, setting: str, required: bool) -> tuple[str, ...]:
    """The columns named in a setting; empty if one is missing and `required` is not set."""
    names = [name.strip() for name in setting.split(",")]
    columns = [find_column(table, name) for name in names]
    missing = [name for name, column in zip(names, columns, strict=True) if column is None]
    if missing and required:
        raise DataError(
            f'{table.name}: column "{missing[0]}" (task.sentence={setting}) was not found.'
            f"{did_you_mean(missing[0], table.columns)} The columns are {listed(table.columns)}"
        )
    return () if missing else tuple(column for column in columns if column is not None)


def _usual(table: Table) -> tuple[str, ...]:
    """The columns of document numbers, if any, and sentence numbers, recognized by their usual names."""
    plain = {column: re.sub(r"[\W_]+", "", column.casefold()) for column in table.columns}
    sentences = [column for column, name in plain.items() if name in _SENTENCES | _CHINESE]
    documents = [column for column, name in plain.items() if name in _DOCUMENTS]
    return (*documents[:1], sentences[0]) if len(sentences) == 1 else ()


def _word_column(table: Table, text: SequenceOf[str] | None, keys: SequenceOf[str]) -> str | None:
    """The column of the words: the text column, or the first one with a usual name; None if there is none."""
    names = (text or ()) if text is None or len(text) == 1 else ()
    columns = [find_column(table, name) for name in (_WORDS if text is None else names)]
    return next((column for column in columns if column is not None and column not in keys), None)


def _is_word_per_row(head: list[Row], word: str, keys: SequenceOf[str], label: str | None) -> bool:
    """Whether the first rows are single words and some of them belong to the same sentence.

    The second condition excludes tables of whole texts that are numbered.
    """
    cells = [row.values.get(word) for row in head]
    if any(isinstance(cell, list | dict | tuple) or hasattr(cell, "tolist") for cell in cells):
        return False
    tags = [str(row.values.get(label) or "").strip() for row in head] if label else []
    if any(tag[:1] in ("[", "{") and len(tag) > 1 for tag in tags):
        return False  # spans, or all tags of a text
    words = [text for row in head if (text := cell_text(row, word).strip())]
    num_spaced = sum(len(text.split()) > 1 for text in words)
    if not words or num_spaced > _MAX_SPACED * len(words):
        return False
    return any(len(sentence.parts) > 1 for sentence in _sentences(iter(head), keys))


def _refuse_lists(head: list[Row], word: str, setting: str) -> None:
    for row in head:
        if isinstance(row.values.get(word), list | tuple):
            raise DataError(
                f'{row.origin}: column "{word}" contains a list, but task.sentence={setting} requires one '
                "word per row. Set task.sentence=none, or remove the setting"
            )


def _sentences(rows: Iterator[Row], keys: SequenceOf[str]) -> Iterator[Row]:
    """Merge consecutive rows with equal cells in the key columns; empty cells repeat the cell above.

    Empty cells may be written as NaN, NULL and the like.
    """
    parts: list[Row] = []
    before = ("",) * len(keys)
    for row in rows:
        cells = tuple(cell_text(row, key).strip() for key in keys)
        key = tuple(
            above if not cell or cell.casefold() in _EMPTY else cell
            for cell, above in zip(cells, before, strict=True)
        )
        if parts and key != before:
            yield _sentence(parts)
            parts = []
        before = key
        parts.append(row)
        if len(parts) > _MAX_WORDS:
            raise DataError(
                f"{parts[0].origin}: the sentence that begins here has more than {_MAX_WORDS:,} words. "
                f"Expected a different value of {listed(keys)} for each sentence. Set task.sentence to the "
                "column of the sentence numbers"
            )
    if parts:
        yield _sentence(parts)


def _sentence(parts: list[Row]) -> Row:
    return replace(parts[0], parts=tuple(parts))
