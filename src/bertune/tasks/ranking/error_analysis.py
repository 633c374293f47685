"""Error analysis of ranking: the queries with the worst predicted order of documents."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from bertune.metrics.mistakes import Explains, Item, Mistakes, Passage, mistake, worst
from bertune.metrics.ranking import Judged, ndcg

_MAX_DOCUMENTS = 10  # top-ranked documents shown per query, plus the first relevant one if it is ranked lower


def wrong_rankings(predictions: Sequence[Any], examples: Sequence[Any], relevant: float) -> Mistakes:
    """Queries with the lowest nDCG@10, each with its documents in the predicted order.

    Documents with a grade of at least `relevant` are marked as relevant. The words are explained of the first
    document that is ranked too high, and of the first relevant one below it.
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
        items = _items(ranked, examples, predictions, relevant)
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


def _items(
    ranked: Sequence[int], examples: Sequence[Any], predictions: Sequence[Any], relevant: float
) -> list[Item]:
    """The top-ranked documents, and the first relevant one if it is ranked lower; `ranked` are positions."""
    hits = [place for place, at in enumerate(ranked) if examples[at].gold >= relevant]
    last = max(hits, default=-1)
    places = [*range(min(len(ranked), _MAX_DOCUMENTS)), *(p for p in hits[:1] if p >= _MAX_DOCUMENTS)]
    wrong = next((place for place in places if place < last and place not in hits), None)
    below = next((place for place in places if place in hits and place > (wrong or 0)), None)
    explained = {wrong, below if wrong is not None else next(iter(hits), None)}
    return [
        Item(
            examples[at].texts[1],
            "right" if examples[at].gold >= relevant else "wrong" if place < last else "",
            f"grade {examples[at].gold:g}",
            place + 1,
            predictions[at].score,
            Explains(at) if place in explained else None,
        )
        for place, at in ((place, ranked[place]) for place in places)
    ]
