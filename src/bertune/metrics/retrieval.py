"""Owns the scores of retrieval by vectors: where the texts that belong to a query stand among all others.

Dimensions: Q queries, D documents, H numbers of a vector.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.details import rank_table

Vectors = NDArray[np.float32]

_BLOCK = 2**24  # scores held at once


def retrieval(
    queries_QH: Vectors,
    documents_DH: Vectors,
    relevant: Sequence[Collection[int]],
    hidden: Sequence[Collection[int]],
) -> dict[str, float | None]:
    """Recall at 1 and 10 and the mean reciprocal rank up to 10 (Manning et al. 2008, chapter 8), by dot
    product.

    `relevant` are the documents that belong to each query, at least one; `hidden` those that it is not
    compared with. Of equal scores the relevant document's counts as the lower one, so that vectors all alike
    are worth nothing.
    """
    return of_ranks(ranks_of(queries_QH, documents_DH, relevant, hidden))


def of_ranks(ranks: Sequence[NDArray[np.int64]]) -> dict[str, float | None]:
    """The same scores from the ranks of each query's relevant documents."""
    return {
        "recall@1": float(np.mean([(own <= 1).mean() for own in ranks])),
        "recall@10": float(np.mean([(own <= 10).mean() for own in ranks])),
        "mrr@10": float(np.mean([1.0 / own[0] if own[0] <= 10 else 0.0 for own in ranks])),
    }


def ranks_of(
    queries_QH: Vectors,
    documents_DH: Vectors,
    relevant: Sequence[Collection[int]],
    hidden: Sequence[Collection[int]],
) -> list[NDArray[np.int64]]:
    """The ranks of each query's relevant documents from 1 on, ascending, as `retrieval` counts them."""
    found = []
    block = max(1, _BLOCK // len(documents_DH))
    for start in range(0, len(queries_QH), block):
        scores_BD = queries_QH[start : start + block] @ documents_DH.T
        for number, scores_D in enumerate(scores_BD, start):
            found.append(_ranks(scores_D, sorted(relevant[number]), list(hidden[number])))
    return found


def details(ranks: Sequence[NDArray[np.int64]], num_documents: int) -> dict[str, Any]:
    """What a report shows of retrieval."""
    note = f"A query is compared with {num_documents:,} texts."
    ranks_found = [int(own[0]) for own in ranks]
    found = rank_table("Place of the text that belongs to a query", ranks_found, "queries", note)
    return {"unit": "query", "count": len(ranks), "tables": [found]}


def _ranks(scores_D: Vectors, relevant: list[int], hidden: list[int]) -> NDArray[np.int64]:
    """The ranks of the relevant documents from 1 on, ascending."""
    wanted = np.sort(scores_D[relevant])[::-1]
    others_D = np.ones(len(scores_D), bool)
    others_D[relevant] = others_D[hidden] = False
    others = scores_D[others_D]
    # Not ">=": a score that is no number must not look like a low one.
    above = np.array([np.count_nonzero(~(others < score)) for score in wanted])
    return above + np.arange(1, len(wanted) + 1)


def triplet_accuracy(similar_N: NDArray[np.float64], other_N: NDArray[np.float64]) -> float:
    """The share of anchors that are more similar to their positive than to their negative."""
    return float((similar_N > other_N).mean())
