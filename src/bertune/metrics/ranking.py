"""Ranking metrics, and rankings as files in the format of the Text Retrieval Conference (TREC).

nDCG uses the grades as linear gains, as trec_eval does. For the other scores, a document is relevant if its
grade is at least `relevant`, as with the option -l of trec_eval. A query without a relevant document has no
scores and is left out of the means; trec_eval counts it as 0. In a tie, less relevant documents are ranked
first, so that a model that gives all documents the same score does not profit from their order in the file.

Dimensions: Q queries, D documents of a query, R resamples.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import counted
from bertune.metrics.arrays import FloatArray
from bertune.metrics.details import baseline, histogram, rank_table
from bertune.metrics.limitations import UNDEFINED, Limitation, equal_scores
from bertune.metrics.scores import unweighted, weighted_mean

NAMES = ("ndcg@10", "mrr@10", "map", "mrr", "ndcg", "p@1", "p@5", "p@10", "recall@5", "recall@10")
RELEVANT = 1.0  # minimum grade of a relevant document; also the default of trec_eval


@dataclass(frozen=True, slots=True)
class Judged:
    """The documents of a query: their gold grades and their predicted scores."""

    grades_D: FloatArray
    scores_D: FloatArray

    def ranked(self) -> FloatArray:
        """The grades sorted by score, highest first."""
        return self.grades_D[np.lexsort((self.grades_D, -self.scores_D))]


def mean_scores(queries: Iterable[Judged], relevant: float = RELEVANT) -> dict[str, float | None]:
    """Each score averaged over the queries for which it is defined; None if there are none.

    nDCG is defined for queries with a grade above 0, other scores for those with a grade of at least
    `relevant`.
    """
    of_queries = query_scores(queries, relevant)
    return unweighted(lambda weights_RQ: weighted_means(of_queries, weights_RQ), len(of_queries["map"]))


def query_scores(queries: Iterable[Judged], relevant: float = RELEVANT) -> dict[str, FloatArray]:
    """Each score [Q] of every query; NaN where it is undefined."""
    of_queries = [_scores(judged.ranked(), relevant) for judged in queries]
    return {name: np.array([scores.get(name, np.nan) for scores in of_queries]) for name in NAMES}


def weighted_means(of_queries: Mapping[str, FloatArray], weights_RQ: FloatArray) -> dict[str, FloatArray]:
    """Each score [R] averaged over the weighted queries for which it is defined; NaN if there are none."""
    return {name: weighted_mean(weights_RQ, each_Q) for name, each_Q in of_queries.items()}


def limitations(grades: Sequence[FloatArray], relevant: float = RELEVANT) -> list[Limitation]:
    """The scores that are the same for every ranking, from the grades [D] of each query.

    Every score is best for descending and worst for ascending grades.
    """
    best, worst = (
        mean_scores([Judged(grades_D, sign * grades_D) for grades_D in grades], relevant) for sign in (1, -1)
    )
    settled = equal_scores(worst, best)
    undefined = {name: value for name, value in settled.items() if value == UNDEFINED}
    all_limitations = []
    if undefined:
        highest = max(float(grades_D.max()) for grades_D in grades)
        fact = f"no document has a grade of at least task.relevant={relevant:g}; the highest is {highest:g}"
        all_limitations.append(Limitation(fact, undefined))
    fixed = {name: value for name, value in settled.items() if name not in undefined}
    if fixed:
        all_limitations.append(Limitation(_why_fixed(grades, relevant, fixed), fixed))
    return all_limitations


def _why_fixed(grades: Sequence[FloatArray], relevant: float, fixed: Iterable[str]) -> str:
    longest = max(map(len, grades))
    if all((grades_D >= relevant).all() or (grades_D < relevant).all() for grades_D in grades):
        return f"in every query, all documents or none have a grade of at least task.relevant={relevant:g}"
    if all("@" in name and int(name.partition("@")[2]) >= longest for name in fixed):
        return f"no query has more than {counted(longest, 'document')}"
    return "each query has too few documents, or too similar grades, for the ranking to matter"


def details(queries: Sequence[Judged], relevant: float = RELEVANT) -> dict[str, Any]:
    """The report details of the scored queries: those with a grade above 0."""
    ranked = [judged.ranked() for judged in queries if (judged.grades_D > 0).any()]
    num_skipped = len(queries) - len(ranked)
    counts: dict[str, Any] = {"unit": "query", "count": len(ranked), "queries_without_relevant": num_skipped}
    if not ranked:
        return counts
    by_chance = float(np.mean([_expected_ndcg(grades_D, 10) for grades_D in ranked]))
    ndcg_Q = [_ndcg(grades_D, 10) for grades_D in ranked]
    axes = ("nDCG@10 of a query", "queries")
    with_relevant = [grades_D for grades_D in ranked if (grades_D >= relevant).any()]
    return counts | {
        "baseline": baseline("ndcg@10", by_chance, "random order"),
        "tables": [_first_ranks(with_relevant, relevant)] if with_relevant else [],
        "figures": [histogram("Queries by nDCG@10", axes, ndcg_Q, np.linspace(0, 1, 21).tolist())],
    }


def ndcg(judged: Judged, most: int = 10) -> float | None:
    """nDCG of the top `most` documents of a query; None if no grade is above 0."""
    return _ndcg(judged.ranked(), most) if (judged.grades_D > 0).any() else None


def reciprocal_rank(is_relevant_D: NDArray[np.bool_], scores_D: FloatArray) -> float:
    """1 / rank of the first relevant document; 0 if there is none."""
    return _reciprocal(Judged(is_relevant_D.astype(np.float64), scores_D).ranked() > 0)


def _scores(grades_D: FloatArray, relevant: float) -> dict[str, float]:
    """The defined scores of one query, from its grades in ranked order."""
    of_grades = {}
    if (grades_D > 0).any():
        of_grades = {"ndcg@10": _ndcg(grades_D, 10), "ndcg": _ndcg(grades_D, len(grades_D))}
    hits_D = grades_D >= relevant
    ranks = np.flatnonzero(hits_D) + 1
    num_relevant = len(ranks)
    if not num_relevant:
        return of_grades
    return of_grades | {
        "mrr@10": _reciprocal(hits_D[:10]),
        "map": float(np.mean(np.arange(1, num_relevant + 1) / ranks)),
        "mrr": _reciprocal(hits_D),
        **{f"p@{k}": float(hits_D[:k].sum()) / k for k in (1, 5, 10)},
        **{f"recall@{k}": float(hits_D[:k].sum()) / num_relevant for k in (5, 10)},
    }


def _reciprocal(hits_D: NDArray[np.bool_]) -> float:
    ranks = np.flatnonzero(hits_D)
    return 1 / (int(ranks[0]) + 1) if len(ranks) else 0.0


def _ndcg(grades_D: FloatArray, most: int) -> float:
    """nDCG of the top `most` documents (Järvelin and Kekäläinen 2002), with a discount of log2(rank + 1)."""
    discounts_D = _discounts(len(grades_D), most)
    return float((grades_D * discounts_D).sum() / _best(grades_D, discounts_D))


def _expected_ndcg(grades_D: FloatArray, most: int) -> float:
    """The expected nDCG of a random order: the expected grade at every rank is the mean grade."""
    discounts_D = _discounts(len(grades_D), most)
    return float(grades_D.mean() * discounts_D.sum() / _best(grades_D, discounts_D))


def _discounts(num: int, most: int) -> FloatArray:
    discounts_D = 1 / np.log2(np.arange(2, num + 2))
    discounts_D[most:] = 0
    return discounts_D


def _best(grades_D: FloatArray, discounts_D: FloatArray) -> float:
    return float((np.sort(grades_D)[::-1] * discounts_D).sum())


def _first_ranks(ranked: Sequence[FloatArray], relevant: float) -> dict[str, Any]:
    """The rank of the first relevant document of each query, as a table."""
    firsts = [int(np.flatnonzero(grades_D >= relevant)[0]) + 1 for grades_D in ranked]
    num_documents = float(np.mean([len(grades_D) for grades_D in ranked]))
    note = f"A query has {num_documents:.1f} documents on average."
    return rank_table("Rank of the first relevant document", firsts, "queries", note)


def qrels_lines(judged: Iterable[tuple[str, str, int]]) -> Iterator[str]:
    """Yield a line `query 0 document grade` for each judgement.

    Raises ValueError for empty names and names with whitespace.
    """
    for query, document, grade in judged:
        yield f"{_name(query)} 0 {_name(document)} {grade}"


def run_lines(scored: Iterable[tuple[str, str, float]], tag: str = "bertune") -> Iterator[str]:
    """Yield a line `query Q0 document rank score tag` for each document, by query and descending score.

    Queries are in the order of their first occurrence. Programs that read the file sort by score, which
    trec_eval stores in fp32; scores that differ here also differ in fp32. Raises ValueError for empty names
    and names with whitespace.
    """
    by_query: dict[str, list[tuple[float, str]]] = {}
    for query, document, score in scored:
        by_query.setdefault(_name(query), []).append((score, _name(document)))
    for query, documents in by_query.items():
        ordered = sorted(documents, key=lambda pair: -pair[0])
        scores = _distinct_in_fp32([score for score, _ in ordered])
        for rank, (score, (_, document)) in enumerate(zip(scores, ordered, strict=True), start=1):
            yield f"{query} Q0 {document} {rank} {score:.9g} {_name(tag)}"


def _distinct_in_fp32(descending: Sequence[float]) -> list[float]:
    """Round descending numbers to fp32; different numbers stay different, and equal numbers equal."""
    rounded: list[np.float32] = []
    for position, number in enumerate(descending):
        new = np.float32(number)
        if rounded and number == descending[position - 1]:
            new = rounded[-1]
        elif rounded and new >= rounded[-1]:
            new = np.nextafter(rounded[-1], np.float32(-np.inf))
        rounded.append(new)
    return [float(number) for number in rounded]


def _name(name: str) -> str:
    """The name itself if it is valid in a TREC file, whose columns are separated by spaces."""
    if not name or len(name.split()) != 1 or name != name.strip():
        raise ValueError(f'"{name}" is not a valid name in a TREC file: it is empty or contains whitespace')
    return name
