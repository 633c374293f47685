"""Error analysis of language modelling: the most confident wrong predictions of masked words."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from bertune.metrics.mistakes import Explains, Fact, Mistake, Mistakes, mistake, most_confident


def wrong_words(predictions: Sequence[Any], examples: Sequence[Any]) -> Mistakes:
    """Masks filled with a wrong word, sorted by its probability, highest first."""
    known = [
        (mask, Explains(at, number))
        for at, prediction in enumerate(predictions)
        for number, mask in enumerate(prediction.masks)
        if mask["word"] is not None
    ]
    predicted = [max(mask["best"].items(), key=lambda pair: pair[1]) for mask, _ in known]
    confidence = [
        None if word == mask["word"] else p for (word, p), (mask, _) in zip(predicted, known, strict=True)
    ]

    def shown(at: int) -> Mistake:
        mask, place = known[at]
        facts = (
            Fact("predicted", predicted[at][0], "wrong"),
            Fact("masked", mask["word"], "right", mask["probability"]),
        )
        return replace(mistake(examples[place.example], confidence[at], facts), explains=place)

    return most_confident(confidence, shown, "masked word", "were predicted incorrectly")
