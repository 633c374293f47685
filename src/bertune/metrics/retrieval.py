"""Owns the scores of retrieval by vectors: where the texts that belong to a query stand among all others.

Dimensions: Q queries, D documents, H numbers of a vector.
"""

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

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
    recall_at_1, recall_at_10, reciprocal = [], [], []
    block = max(1, _BLOCK // len(documents_DH))
    for start in range(0, len(queries_QH), block):
        scores_BD = queries_QH[start : start + block] @ documents_DH.T
        for number, scores_D in enumerate(scores_BD, start):
            ranks = _ranks(scores_D, sorted(relevant[number]), list(hidden[number]))
            recall_at_1.append(float((ranks <= 1).mean()))
            recall_at_10.append(float((ranks <= 10).mean()))
            reciprocal.append(1.0 / ranks[0] if ranks[0] <= 10 else 0.0)
    return {
        "recall@1": float(np.mean(recall_at_1)),
        "recall@10": float(np.mean(recall_at_10)),
        "mrr@10": float(np.mean(reciprocal)),
    }


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
