"""Queries and their documents: query IDs, grades, checks before scoring, and samples of long lists."""

from collections.abc import Sequence as SequenceOf
from typing import Any

import numpy as np

from bertune.data.cell_values import UnreadableCellError, is_written_out, plain, read_written
from bertune.data.columns import Columns, cell_text
from bertune.data.rows import Row
from bertune.errors import DataError, counted
from bertune.text.sequences import Sequence


def query_id(row: Row, column: str, columns: Columns) -> str:
    """The query id of a row; "" without an id column, or in rows to predict that do not have the column.

    Raises DataError for a blank id.
    """
    if not column or (not columns.has_gold and column not in row.values):
        return ""
    identifier = cell_text(row, column).strip()
    if not identifier:
        raise DataError(
            f'{row.origin}: the query ID in column "{column}" (task.query_id) is missing. Fill it in or '
            "remove the row"
        )
    return identifier


def refuse_lists(row: Row, columns: Columns) -> None:
    """Raises DataError for a row with lists of documents or grades, as in files with one row per query."""
    for column in (*columns.text, *([] if columns.label is None else [columns.label])):
        value = plain(row.values.get(column))
        if isinstance(value, str) and is_written_out(value):
            try:
                value = read_written(value)
            except UnreadableCellError:
                continue
        if isinstance(value, list) and value:
            found = counted(len(value), "value")
            raise DataError(
                f'{row.origin}: column "{column}" contains a list of {found}. Expected one row '
                "per pair of query and document. Expand the lists into rows, for example in pandas with "
                'table.explode(["document", "grade"])'
            )


def refuse_ambiguous_ids(examples: SequenceOf[Any]) -> None:
    """Raises DataError if two different queries have the same id."""
    first: dict[str, Any] = {}
    for example in examples:
        before = first.setdefault(example.query, example)
        if before.texts[0] != example.texts[0]:
            raise DataError(
                f'{example.origin}: the query ID "{example.query_id}" belongs to "{example.texts[0][:60]}", '
                f'but in line {before.origin.line} to "{before.texts[0][:60]}". Use one ID per query'
            )


def by_query(examples: SequenceOf[Any]) -> dict[str, list[float]]:
    """The grades of the documents of each query."""
    grades: dict[str, list[float]] = {}
    for example in examples:
        assert example.gold is not None
        grades.setdefault(example.query, []).append(example.gold)
    return grades


def refuse_unranked(examples: SequenceOf[Any]) -> None:
    """Raises DataError if no query can be scored."""
    grades, first = by_query(examples), examples[0].origin
    if max(map(len, grades.values())) == 1:
        raise DataError(
            f"{first}: this query has only one document, and so do all {len(grades):,} queries to score, so "
            "there is nothing to rank. Rows of the same query must have identical query texts"
        )
    if not any(max(of_query) > 0 for of_query in grades.values()):
        raise DataError(
            f"{first}: neither this query nor any other of the {len(grades):,} to score has a relevant "
            "document, so no score is defined. Use other queries; if they were held out from the training "
            "file, change train.seed or increase data.validation_fraction"
        )


def sample_documents(sequences: list[Sequence], size: int, random: np.random.Generator) -> list[Sequence]:
    """A random sample of at most `size` sequences of a query, at least one of them relevant, in order."""
    if len(sequences) <= size:
        return sequences
    relevant = [i for i, s in enumerate(sequences) if isinstance(s.gold, float) and s.gold > 0]
    required = int(random.choice(relevant))
    others = random.permutation([i for i in range(len(sequences)) if i != required])[: size - 1]
    return [sequences[i] for i in sorted([required, *others.tolist()])]
