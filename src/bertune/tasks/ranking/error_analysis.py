"""Error analysis of ranking: the queries whose documents were predicted in the worst order."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertune.metrics.mistakes import Item, Mistakes, Passage, mistake, worst
from bertune.metrics.ranking import Judged, ndcg

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
