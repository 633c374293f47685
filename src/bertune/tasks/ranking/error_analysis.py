"""Error analysis of ranking: the queries with the worst predicted order of documents."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertune.metrics.mistakes import Item, Mistakes, Passage, mistake, worst
from bertune.metrics.ranking import Judged, ndcg

_MAX_DOCUMENTS = 10  # top-ranked documents shown per query, plus the first relevant one if it is ranked lower


def wrong_rankings(predictions: Sequence[Any], examples: Sequence[Any], relevant: float) -> Mistakes:
    """Queries with the lowest nDCG@10, each with its documents in the predicted order.

    Documents with a grade of at least `relevant` are marked as relevant.
    """
    positions: dict[str, list[int]] = {}
    for position, example in enumerate(examples):
        positions.setdefault(example.query, []).append(position)
    groups = list(positions.values())
    judged = [
        Judged(np.array([examples[i].gold for i in group]), np.array([predictions[i].score for i in group]))
        for group in groups
    ]
    scores = [ndcg(query) for query in judged]
    badness = [None if score is None or score > 1 - 1e-9 else -score for score in scores]
    shown = []
    for at in worst(badness):
        first = examples[groups[at][0]]
        ranked = [groups[at][i] for i in np.lexsort((judged[at].grades_D, -judged[at].scores_D))]
        items = _items([examples[i] for i in ranked], [predictions[i].score for i in ranked], relevant)
        shown.append(mistake(first, scores[at], passages=[Passage(first.texts[0], "query")], items=items))
    return Mistakes(
        title="Worst queries",
        unit="query",
        num=sum(score is not None for score in scores),
        num_wrong=sum(bad is not None for bad in badness),
        what="have a ranking error",
        order="Sorted by nDCG@10, lowest first",
        measure="nDCG@10 {}",
        shown=tuple(shown),
    )


def _items(ranked: Sequence[Any], scores: Sequence[float], relevant: float) -> list[Item]:
    """The top-ranked documents, and the first relevant one if it is ranked lower."""
    hits = [place for place, example in enumerate(ranked) if example.gold >= relevant]
    last = max(hits, default=-1)
    places = [*range(min(len(ranked), _MAX_DOCUMENTS)), *(p for p in hits[:1] if p >= _MAX_DOCUMENTS)]
    return [
        Item(
            ranked[place].texts[1],
            "right" if ranked[place].gold >= relevant else "wrong" if place < last else "",
            f"grade {ranked[place].gold:g}",
            place + 1,
            scores[place],
        )
        for place in places
    ]
