"""Error analysis of language modelling: the most confident wrong predictions of masked words."""

from collections.abc import Sequence
from typing import Any

from bertune.metrics.mistakes import Fact, Mistakes, mistake, worst


def wrong_words(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Masks filled with a wrong word, sorted by its probability, highest first."""
    known = [
        (mask, example)
        for prediction, example in zip(predictions, examples, strict=True)
        for mask in prediction.masks
        if mask["word"] is not None
    ]
    predicted = [max(mask["best"].items(), key=lambda pair: pair[1]) for mask, _ in known]
    confidence = [
        None if word == mask["word"] else p for (word, p), (mask, _) in zip(predicted, known, strict=True)
    ]
    return Mistakes(
        title="Most confident errors",
        unit="masked word",
        num=len(known),
        num_wrong=sum(probability is not None for probability in confidence),
        what="were predicted incorrectly",
        order="Sorted by confidence",
        measure="{}",
        shown=tuple(
            mistake(
                known[at][1],
                confidence[at],
                (
                    Fact("predicted", predicted[at][0], "wrong"),
                    Fact("masked", known[at][0]["word"], "right", known[at][0]["probability"]),
                ),
            )
            for at in worst(confidence)
        ),
        is_probability=True,
    )
