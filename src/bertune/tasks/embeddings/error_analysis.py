"""Error analysis of embeddings: queries whose positive is not the nearest text, and pairs in the wrong order.

Dimensions: Q queries, D documents, H numbers of a vector, N pairs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertune.metrics.correlation import average_ranks
from bertune.metrics.mistakes import Fact, Item, Mistakes, Passage, Role, mistake, worst
from bertune.metrics.retrieval import ranks_of
from bertune.tasks.embeddings.vectors import collection

_MAX_NEIGHBOURS = 5  # higher-ranked texts shown above the positive of a query


def wrong_neighbours(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """The queries with the lowest-ranked positives, each with the documents ranked above its positive."""
    queries_QH, documents_DH, relevant, itself = collection(predictions, [e.texts for e in examples])
    # In the order in which `collection` numbers queries and documents.
    first = {e.texts[0]: e for e in reversed(examples)}
    queries = list(dict.fromkeys(e.texts[0] for e in examples))
    documents = list(dict.fromkeys(text for e in examples for text in e.texts[1:]))
    best_ranks = [int(ranks[0]) for ranks in ranks_of(queries_QH, documents_DH, relevant, itself)]
    shown = []
    for at in worst([rank if rank > 1 else None for rank in best_ranks]):
        scores_D = documents_DH @ queries_QH[at]
        scores_D[list(itself[at])] = -np.inf
        others = [int(d) for d in np.argsort(-scores_D, kind="stable") if d not in relevant[at]]
        above = others[: min(_MAX_NEIGHBOURS, best_ranks[at] - 1)]
        best = max(relevant[at], key=scores_D.__getitem__)
        items = [_neighbour(documents[d], scores_D[d], "wrong", rank) for rank, d in enumerate(above, 1)]
        items.append(_neighbour(documents[best], scores_D[best], "right", best_ranks[at]))
        passages = [Passage(queries[at], "query")]
        shown.append(mistake(first[queries[at]], best_ranks[at], passages=passages, items=items))
    return Mistakes(
        title="Worst queries",
        unit="query",
        num=len(best_ranks),
        num_wrong=sum(rank > 1 for rank in best_ranks),
        what="have a positive below rank 1",
        order="Sorted by the rank of the positive, worst first, each with the texts ranked above it",
        measure="rank {}",
        shown=tuple(shown),
    )


def _neighbour(text: str, cosine: float, role: Role, rank: int) -> Item:
    return Item(text, role, f"cosine {cosine:.3f}", rank)


def wrong_similarities(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """The pairs whose rank by cosine differs most from their rank by gold score."""
    cosine_N = np.array([p.similarities[0] for p in predictions])
    gold_N = np.array([e.gold for e in examples], np.float64)
    rank_N, gold_rank_N = (average_ranks(-values_N) for values_N in (cosine_N, gold_N))
    difference_N = np.abs(rank_N - gold_rank_N).round().astype(int)
    return Mistakes(
        title="Worst pairs",
        unit="pair",
        num=len(examples),
        num_wrong=None,
        what="",
        order="Sorted by the difference between the rank by cosine and the rank by gold score",
        measure="rank difference: {}",
        shown=tuple(
            mistake(
                examples[at],
                int(difference_N[at]),
                (
                    Fact("cosine", f"{cosine_N[at]:.3f}, rank {rank_N[at]:,.0f}", "wrong"),
                    Fact("gold", f"{gold_N[at]:g}, rank {gold_rank_N[at]:,.0f}", "right"),
                ),
            )
            for at in worst([difference or None for difference in difference_N.tolist()])
        ),
    )
