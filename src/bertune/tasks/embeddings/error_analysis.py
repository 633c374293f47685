"""The errors that a report shows of vectors: queries whose own text is not the nearest, and pairs whose
similarity is furthest off.

Dimensions: Q queries, D documents, H numbers of a vector, N pairs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata  # type: ignore[import-untyped]

from bertune.metrics.mistakes import Fact, Item, Mistakes, Passage, Role, mistake, worst
from bertune.metrics.retrieval import ranks_of
from bertune.tasks.embeddings.vectors import collection

_MOST_NEIGHBOURS = 5  # nearer texts shown before a query's own


def wrong_neighbours(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Queries, each with the documents that came before its own."""
    queries_QH, documents_DH, relevant, hidden = collection(predictions, [e.texts for e in examples])
    # In the order that `collection` numbers them in.
    first = {e.texts[0]: e for e in reversed(examples)}
    queries = list(dict.fromkeys(e.texts[0] for e in examples))
    documents = list(dict.fromkeys(text for e in examples for text in e.texts[1:]))
    own_ranks = [int(ranks[0]) for ranks in ranks_of(queries_QH, documents_DH, relevant, hidden)]
    shown = []
    for at in worst([rank if rank > 1 else None for rank in own_ranks]):
        scores_D = documents_DH @ queries_QH[at]
        scores_D[list(hidden[at])] = -np.inf
        others = [int(d) for d in np.argsort(-scores_D, kind="stable") if d not in relevant[at]]
        before = others[: min(_MOST_NEIGHBOURS, own_ranks[at] - 1)]
        own = max(relevant[at], key=scores_D.__getitem__)
        items = [_neighbour(documents[d], scores_D[d], "wrong", rank) for rank, d in enumerate(before, 1)]
        items.append(_neighbour(documents[own], scores_D[own], "right", own_ranks[at]))
        passages = [Passage(queries[at], "query")]
        shown.append(mistake(first[queries[at]], own_ranks[at], passages=passages, items=items))
    return Mistakes(
        title="Worst queries",
        unit="query",
        num=len(own_ranks),
        num_wrong=sum(rank > 1 for rank in own_ranks),
        what="do not have their own text first",
        order="Those whose text stands furthest down come first, each with what stands before it",
        measure="place {}",
        shown=tuple(shown),
    )


def _neighbour(text: str, cosine: float, role: Role, rank: int) -> Item:
    return Item(text, role, f"cosine {cosine:.3f}", rank)


def wrong_likeness(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Pairs whose place by cosine is furthest from that by the score they were given."""
    cosine_N = np.array([p.similarities[0] for p in predictions])
    gold_N = np.array([e.gold for e in examples], np.float64)
    place_N, gold_place_N = (rankdata(-values_N) for values_N in (cosine_N, gold_N))
    apart_N = np.abs(place_N - gold_place_N).round().astype(int)
    return Mistakes(
        title="Worst pairs",
        unit="pair",
        num=len(examples),
        num_wrong=None,
        what="",
        order="Pairs whose place by cosine is furthest from their place by gold score come first",
        measure="places apart: {}",
        shown=tuple(
            mistake(
                examples[at],
                int(apart_N[at]),
                (
                    Fact("cosine", f"{cosine_N[at]:.3f}, place {place_N[at]:,.0f}", "wrong"),
                    Fact("gold", f"{gold_N[at]:g}, place {gold_place_N[at]:,.0f}", "right"),
                ),
            )
            for at in worst([apart or None for apart in apart_N.tolist()])
        ),
    )
