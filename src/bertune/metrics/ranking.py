"""Owns the scores of rankings, and rankings as files of the Text Retrieval Conference (TREC).

Dimensions: D documents of a query. Gains are linear, as trec_eval's: a grade counts as itself. What has a
grade above 0 is relevant. Of documents with equal scores the less relevant come first, so a model that says
the same of all gains nothing from their order in the file.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.details import baseline, histogram, rank_table

Numbers = NDArray[np.float64]
NAMES = ("ndcg@10", "mrr@10", "map", "mrr", "ndcg", "p@1", "p@5", "p@10", "recall@5", "recall@10")


@dataclass(frozen=True, slots=True)
class Judged:
    """A query's documents: their grades, and what a model says of each."""

    grades_D: Numbers
    scores_D: Numbers

    def ranked(self) -> Numbers:
        """The grades in the order of the scores, highest first."""
        return self.grades_D[np.lexsort((self.grades_D, -self.scores_D))]


def mean_scores(queries: Iterable[Judged]) -> dict[str, float | None]:
    """Each score averaged over the queries that have a relevant document; None where none has."""
    of_queries = [_scores(grades_D) for grades_D in _with_relevant(queries)]
    return {name: float(np.mean([s[name] for s in of_queries])) if of_queries else None for name in NAMES}


def details(queries: Sequence[Judged]) -> dict[str, Any]:
    """What a report shows of the queries that are scored."""
    ranked = _with_relevant(queries)
    num_left_out = len(queries) - len(ranked)
    found: dict[str, Any] = {"unit": "query", "count": len(ranked), "queries_without_relevant": num_left_out}
    if not ranked:
        return found
    by_chance = float(np.mean([_expected_ndcg(grades_D, 10) for grades_D in ranked]))
    ndcg_Q = [_ndcg(grades_D, 10) for grades_D in ranked]
    axes = ("nDCG@10 of a query", "queries")
    return found | {
        "baseline": baseline("ndcg@10", by_chance, "documents in random order"),
        "tables": [_places(ranked)],
        "figures": [histogram("Queries by nDCG@10", axes, ndcg_Q, np.linspace(0, 1, 21).tolist())],
    }


def ndcg(judged: Judged, most: int = 10) -> float | None:
    """nDCG of one query's first documents; None where none is relevant."""
    return _ndcg(judged.ranked(), most) if (judged.grades_D > 0).any() else None


def _with_relevant(queries: Iterable[Judged]) -> list[Numbers]:
    """The grades of the queries that can be scored, in the order predicted."""
    return [judged.ranked() for judged in queries if (judged.grades_D > 0).any()]


def reciprocal_rank(is_relevant_D: NDArray[np.bool_], scores_D: Numbers) -> float:
    """1 / the place of the first relevant document; 0 without one."""
    return _reciprocal(Judged(is_relevant_D.astype(np.float64), scores_D).ranked())


def _scores(grades_D: Numbers) -> dict[str, float]:
    """The scores of one query from its grades in the order predicted."""
    hits_D = grades_D > 0
    ranks = np.flatnonzero(hits_D) + 1
    found = len(ranks)
    return {
        "ndcg@10": _ndcg(grades_D, 10),
        "mrr@10": _reciprocal(grades_D[:10]),
        "map": float(np.mean(np.arange(1, found + 1) / ranks)),
        "mrr": _reciprocal(grades_D),
        "ndcg": _ndcg(grades_D, len(grades_D)),
        **{f"p@{k}": float(hits_D[:k].sum()) / k for k in (1, 5, 10)},
        **{f"recall@{k}": float(hits_D[:k].sum()) / found for k in (5, 10)},
    }


def _reciprocal(grades_D: Numbers) -> float:
    ranks = np.flatnonzero(grades_D > 0)
    return 1 / (int(ranks[0]) + 1) if len(ranks) else 0.0


def _ndcg(grades_D: Numbers, most: int) -> float:
    """Järvelin and Kekäläinen 2002, with the logarithm of the place + 1."""
    discounts_D = _discounts(len(grades_D), most)
    return float((grades_D * discounts_D).sum() / _best(grades_D, discounts_D))


def _expected_ndcg(grades_D: Numbers, most: int) -> float:
    """The mean over all orders of the documents: at each place there is then the mean grade."""
    discounts_D = _discounts(len(grades_D), most)
    return float(grades_D.mean() * discounts_D.sum() / _best(grades_D, discounts_D))


def _discounts(num: int, most: int) -> Numbers:
    discounts_D = 1 / np.log2(np.arange(2, num + 2))
    discounts_D[most:] = 0
    return discounts_D


def _best(grades_D: Numbers, discounts_D: Numbers) -> float:
    return float((np.sort(grades_D)[::-1] * discounts_D).sum())


def _places(ranked: Sequence[Numbers]) -> dict[str, Any]:
    """Where the first relevant document of each query stands."""
    firsts = [int(np.flatnonzero(grades_D > 0)[0]) + 1 for grades_D in ranked]
    num_documents = float(np.mean([len(grades_D) for grades_D in ranked]))
    note = f"A query has {num_documents:.1f} documents on average."
    return rank_table("First relevant document", firsts, "queries", note)


def qrels_lines(judged: Iterable[tuple[str, str, int]]) -> Iterator[str]:
    """A line for each (query, document, grade): `query 0 document grade`. Raises ValueError for blanks."""
    for query, document, grade in judged:
        yield f"{_name(query)} 0 {_name(document)} {grade}"


def run_lines(scored: Iterable[tuple[str, str, float]], tag: str = "bertune") -> Iterator[str]:
    """A line for each (query, document, score), queries as they first come, highest score first:
    `query Q0 document rank score tag`. Raises ValueError for blanks.

    Readers sort by the score, which trec_eval holds in fp32: there, different ones stay different.
    """
    by_query: dict[str, list[tuple[float, str]]] = {}
    for query, document, score in scored:
        by_query.setdefault(_name(query), []).append((score, _name(document)))
    for query, found in by_query.items():
        ordered = sorted(found, key=lambda pair: -pair[0])
        scores = _distinct_in_fp32([score for score, _ in ordered])
        for rank, (score, (_, document)) in enumerate(zip(scores, ordered, strict=True), start=1):
            yield f"{query} Q0 {document} {rank} {score:.9g} {_name(tag)}"


def _distinct_in_fp32(falling: Sequence[float]) -> list[float]:
    """Falling numbers as the nearest in fp32 that are different where they are."""
    found: list[np.float32] = []
    for place, number in enumerate(falling):
        new = np.float32(number)
        if found and number == falling[place - 1]:
            new = found[-1]
        elif found and new >= found[-1]:
            new = np.nextafter(found[-1], np.float32(-np.inf))
        found.append(new)
    return [float(number) for number in found]


def _name(name: str) -> str:
    """TREC's files have blanks between their columns, so none in a name."""
    if not name or len(name.split()) != 1 or name != name.strip():
        raise ValueError(f'"{name}" cannot stand in a TREC file: it is empty or has blank space in it')
    return name
