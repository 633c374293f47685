"""The number that an explanation of an entity explains.

Dimensions: C labels, W words of a text.
"""

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import replace
from typing import Any

import numpy as np

from bertune.tasks import Output
from bertune.tasks.explained import Explained, OutputWeights, Target, contrast, item_position
from bertune.tasks.token_classification.reading import Example
from bertune.tasks.token_classification.schemes import deciding_tokens
from bertune.text.sequences import Sequence


def span_logit(
    spans: SequenceOf[Mapping[str, Any]],
    outputs: SequenceOf[Output],
    sequences: SequenceOf[Sequence],
    example: Example,
    target: Target = None,
) -> Explained | None:
    """The logit of the most probable tag minus the mean of the others, averaged over the words of a span.

    The span is given by its position among the predicted `spans`; by default, it is the most certain one.
    Returns None for a text without spans. Raises DataError for a position that does not exist.
    """
    if not spans:
        return None
    most_probable = max(range(len(spans)), key=lambda number: float(spans[number]["score"]))
    chosen = most_probable if target is None else item_position(target, len(spans), "entity")
    start, end = spans[chosen]["start"], spans[chosen]["end"]
    of_words = deciding_tokens(list(sequences), example.words)
    inside = [at for at, (first, last) in enumerate(example.words) if start <= first and last <= end]
    deciding = [(int(window), int(token)) for window, token in of_words[inside] if window >= 0]
    weights = []
    for window, token in deciding:
        logits_C = outputs[window][token]
        weights_C = contrast(len(logits_C), int(logits_C.argmax())) / len(deciding)
        of_word = OutputWeights.of_row(window, np.arange(len(weights_C)), weights_C, token)
        weights.append(replace(of_word, tokens=(token,)))
    return Explained(chosen, tuple(weights)) if weights else None
