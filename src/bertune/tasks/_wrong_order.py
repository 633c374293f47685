"""Owns the queries whose documents came in the worst order, and the pairs whose likeness is furthest off.

Dimensions: Q queries, D documents, H numbers of a vector, N pairs.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.stats import rankdata  # type: ignore[import-untyped]

from bertune.metrics.mistakes import Fact, Item, Mistakes, Passage, Role, mistake, worst
from bertune.metrics.ranking import Judged, ndcg
from bertune.metrics.retrieval import ranks_of
from bertune.tasks._vectors import collection

_MOST_RANKED = 10  # documents shown of a query, and the best of the relevant ones below


def wrong_rankings(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Queries with the lowest nDCG@10, their documents in the order predicted."""
    positions: dict[str, list[int]] = {}
    for position, example in enumerate(examples):
        positions.setdefault(example.query, []).append(position)
    groups = list(positions.values())
    judged = [
        Judged(np.array([examples[i].gold for i in own]), np.array([predictions[i].score for i in own]))
        for own in groups
    ]
    scores = [ndcg(query) for query in judged]
    badness = [None if score is None or score > 1 - 1e-9 else -score for score in scores]
    shown = []
    for at in worst(badness):
        first = examples[groups[at][0]]
        ranked = [groups[at][i] for i in np.lexsort((judged[at].grades_D, -judged[at].scores_D))]
        items = _ranked([examples[i] for i in ranked], [predictions[i].score for i in ranked])
        shown.append(mistake(first, scores[at], passages=[Passage(first.texts[0], "query")], items=items))
    return Mistakes(
        title="Worst queries",
        unit="query",
        num=sum(score is not None for score in scores),
        num_wrong=sum(bad is not None for bad in badness),
        what="do not have their documents in the best order",
        order="The lowest nDCG@10 come first",
        measure="nDCG@10 {}",
        shown=tuple(shown),
    )


def _ranked(ranked: Sequence[Any], scores: Sequence[float]) -> list[Item]:
    """The first documents, and the first relevant one where it stands below."""
    relevant = [place for place, example in enumerate(ranked) if example.gold > 0]
    places = [*range(min(len(ranked), _MOST_RANKED)), *(p for p in relevant[:1] if p >= _MOST_RANKED)]
    return [
        Item(
            ranked[place].texts[1],
            "right" if ranked[place].gold > 0 else "wrong" if place < relevant[-1] else "",
            f"grade {ranked[place].gold:g}",
            place + 1,
            scores[place],
        )
        for place in places
    ]


def wrong_neighbours(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Queries, each with the documents that came before its own."""
    queries_QH, documents_DH, relevant, hidden = collection(predictions, [e.texts for e in examples])
    # In the order that `collection` numbers them in.
    first = {e.texts[0]: e for e in reversed(examples)}
    queries = list(dict.fromkeys(e.texts[0] for e in examples))
    documents = list(dict.fromkeys(text for e in examples for text in e.texts[1:]))
    places = [int(ranks[0]) for ranks in ranks_of(queries_QH, documents_DH, relevant, hidden)]
    shown = []
    for at in worst([place if place > 1 else None for place in places]):
        scores_D = documents_DH @ queries_QH[at]
        scores_D[list(hidden[at])] = -np.inf
        others = [int(d) for d in np.argsort(-scores_D, kind="stable") if d not in relevant[at]]
        before = others[: min(_MOST_RANKED // 2, places[at] - 1)]
        own = max(relevant[at], key=scores_D.__getitem__)
        items = [_neighbour(documents[d], scores_D[d], "wrong", rank) for rank, d in enumerate(before, 1)]
        items.append(_neighbour(documents[own], scores_D[own], "right", places[at]))
        passages = [Passage(queries[at], "query")]
        shown.append(mistake(first[queries[at]], places[at], passages=passages, items=items))
    return Mistakes(
        title="Worst queries",
        unit="query",
        num=len(places),
        num_wrong=sum(place > 1 for place in places),
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
