"""Metrics for retrieval with embeddings: the ranks of a query's relevant texts among all texts.

Dimensions: Q queries, D documents, B queries in a block, H dimensions of an embedding.
"""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.errors import counted
from bertune.metrics.details import rank_table
from bertune.metrics.limitations import equal_scores

Vectors = NDArray[np.float32]

_BLOCK = 2**24  # similarity scores in memory at once: 64 MB


def retrieval(
    queries_QH: Vectors,
    documents_DH: Vectors,
    relevant: Sequence[Collection[int]],
    hidden: Sequence[Collection[int]],
) -> dict[str, float | None]:
    """Recall@1, recall@10 and MRR@10 (Manning et al. 2008, chapter 8), ranked by dot product.

    `relevant` are the indices of the relevant documents of each query, at least one; `hidden` are those that
    the query is not compared with. In a tie, the relevant document is ranked last, so that identical vectors
    get the lowest scores.
    """
    return of_ranks(ranks_of(queries_QH, documents_DH, relevant, hidden))


def of_ranks(ranks: Sequence[NDArray[np.int64]]) -> dict[str, float | None]:
    """The same scores from the ranks of each query's relevant documents."""
    return {name: float(each_Q.mean()) for name, each_Q in of_queries(ranks).items()}


def of_queries(ranks: Sequence[NDArray[np.int64]]) -> dict[str, NDArray[np.float64]]:
    """The same scores of each query, [Q]."""
    return {
        "recall@1": np.array([(query <= 1).mean() for query in ranks]),
        "recall@10": np.array([(query <= 10).mean() for query in ranks]),
        "mrr@10": np.array([1.0 / query[0] if query[0] <= 10 else 0.0 for query in ranks]),
    }


def settled_scores(
    num_documents: int, relevant: Sequence[Collection[int]], hidden: Sequence[Collection[int]]
) -> tuple[dict[str, str], int]:
    """The scores of `retrieval` that are the same for all vectors, because there are too few documents.

    Returns these scores with their values, and the maximum number of documents that a query is compared with.
    """
    pairs = zip(relevant, hidden, strict=True)
    num_others = [num_documents - len({*positives, *excluded}) for positives, excluded in pairs]
    firsts = [np.arange(1, len(positives) + 1) for positives in relevant]
    lasts = [first + others for first, others in zip(firsts, num_others, strict=True)]
    return equal_scores(of_ranks(lasts), of_ranks(firsts)), max(int(last[-1]) for last in lasts)


def ranks_of(
    queries_QH: Vectors,
    documents_DH: Vectors,
    relevant: Sequence[Collection[int]],
    hidden: Sequence[Collection[int]],
) -> list[NDArray[np.int64]]:
    """The ranks, from 1, of each query's relevant documents in ascending order, as for `retrieval`."""
    ranks = []
    block = max(1, _BLOCK // len(documents_DH))
    for start in range(0, len(queries_QH), block):
        scores_BD = queries_QH[start : start + block] @ documents_DH.T
        for number, scores_D in enumerate(scores_BD, start):
            ranks.append(_ranks(scores_D, sorted(relevant[number]), list(hidden[number])))
    return ranks


def details(ranks: Sequence[NDArray[np.int64]], num_documents: int) -> dict[str, Any]:
    """The report details of a retrieval evaluation."""
    note = f"Each query is compared with {counted(num_documents, 'text')}."
    firsts = [int(query[0]) for query in ranks]
    by_rank = rank_table("Rank of the relevant text", firsts, "queries", note)
    return {"unit": "query", "count": len(ranks), "tables": [by_rank]}


def _ranks(scores_D: Vectors, relevant: list[int], hidden: list[int]) -> NDArray[np.int64]:
    """The ranks, from 1, of the relevant documents in ascending order."""
    relevant_scores = np.sort(scores_D[relevant])[::-1]
    others_D = np.ones(len(scores_D), bool)
    others_D[relevant] = others_D[hidden] = False
    others = scores_D[others_D]
    # "not <" instead of ">=", so that NaN does not count as a low score.
    above = np.array([np.count_nonzero(~(others < score)) for score in relevant_scores])
    return above + np.arange(1, len(relevant_scores) + 1)


def triplets_in_order(similar_N: NDArray[np.float64], other_N: NDArray[np.float64]) -> NDArray[np.float64]:
    """1 for each anchor that is more similar to its positive than to its negative, 0 for others, [N]."""
    return (similar_N > other_N).astype(np.float64)
