"""Owns the queries of ranked documents: their grades, and whether there is an order to score."""

from collections.abc import Sequence
from typing import Any

from bertune.errors import DataError


def by_query(examples: Sequence[Any]) -> dict[str, list[float]]:
    """The grades of each query's documents."""
    found: dict[str, list[float]] = {}
    for example in examples:
        assert example.gold is not None
        found.setdefault(example.query, []).append(example.gold)
    return found


def refuse_unranked(examples: Sequence[Any]) -> None:
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
            "file, another train.seed, or more of them with data.split"
        )
