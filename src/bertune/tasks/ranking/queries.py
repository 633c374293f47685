"""Queries and their documents: ids, grades, whether there is an order to score, samples of long lists."""

from collections.abc import Sequence as SequenceOf
from typing import Any

import numpy as np

from bertune.data.columns import Columns, cell_text
from bertune.data.rows import Row
from bertune.errors import DataError
from bertune.text.sequences import Sequence


def query_id(row: Row, column: str, columns: Columns) -> str:
    """The id of a row's query from the column that has them, if there is one; rows to predict may lack it.

    Raises DataError for a blank one.
    """
    if not column or (not columns.has_gold and column not in row.values):
        return ""
    found = cell_text(row, column).strip()
    if not found:
        raise DataError(
            f'{row.origin}: column "{column}" (task.query_id) is blank; give every row its query\'s'
        )
    return found


def refuse_unsure_ids(examples: SequenceOf[Any]) -> None:
    """Raises DataError where one id stands for two queries."""
    first: dict[str, Any] = {}
    for example in examples:
        before = first.setdefault(example.query, example)
        if before.texts[0] != example.texts[0]:
            raise DataError(
                f'{example.origin}: the query id "{example.query_id}" stands for "{example.texts[0][:60]}", '
                f'and in line {before.origin.line} for "{before.texts[0][:60]}". Give each query its own id'
            )


def by_query(examples: SequenceOf[Any]) -> dict[str, list[float]]:
    """The grades of each query's documents."""
    found: dict[str, list[float]] = {}
    for example in examples:
        assert example.gold is not None
        found.setdefault(example.query, []).append(example.gold)
    return found


def refuse_unranked(examples: SequenceOf[Any]) -> None:
    """Raises DataError where no query has an order that could be scored."""
    grades, first = by_query(examples), examples[0].origin
    if max(map(len, grades.values())) == 1:
        raise DataError(
            f"{first}: this query has one document, as have all {len(grades):,} to score, so there is "
            "nothing to rank. Rows of one query must have it in the same words"
        )
    if not any(max(found) > 0 for found in grades.values()):
        raise DataError(
            f"{first}: neither this query nor any other of the {len(grades):,} to score has a relevant "
            "document, so no score is defined. Give other queries; where they were held out of the training "
            "file, another train.seed, or more of them with data.validation_fraction"
        )


def drawn(sequences: list[Sequence], most: int, random: np.random.Generator) -> list[Sequence]:
    """At most so many sequences of a query, at random, one of them relevant, in their order."""
    if len(sequences) <= most:
        return sequences
    relevant = [i for i, s in enumerate(sequences) if isinstance(s.gold, float) and s.gold > 0]
    sure = int(random.choice(relevant))
    others = random.permutation([i for i in range(len(sequences)) if i != sure])[: most - 1]
    return [sequences[i] for i in sorted([sure, *others.tolist()])]
