"""Error analysis of language modelling: the masked words that were predicted worst."""

from collections.abc import Sequence
from typing import Any

from bertune.metrics.mistakes import Fact, Mistakes, mistake, worst


def wrong_words(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Masks for which another word was predicted, the most confident first."""
    known = [
        (mask, example)
        for prediction, example in zip(predictions, examples, strict=True)
        for mask in prediction.masks
        if mask["word"] is not None
    ]
    said = [max(mask["best"].items(), key=lambda pair: pair[1]) for mask, _ in known]
    sure = [None if word == mask["word"] else p for (word, p), (mask, _) in zip(said, known, strict=True)]
    return Mistakes(
        title="Surest mistakes",
        unit="masked word",
        num=len(known),
        num_wrong=sum(probability is not None for probability in sure),
        what="were filled in with another word",
        order="The surest come first",
        measure="{}",
        shown=tuple(
            mistake(
                known[at][1],
                sure[at],
                (
                    Fact("filled in", said[at][0], "wrong"),
                    Fact("hidden", known[at][0]["word"], "right", known[at][0]["probability"]),
                ),
            )
            for at in worst(sure)
        ),
        is_probability=True,
    )
