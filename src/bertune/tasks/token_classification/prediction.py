"""The prediction of token classification, and the evidence for and against the gold of its words.

Dimensions: K words with tokens, C labels.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.tasks import OF_A_RULE

# The words with tokens, [K], and the log-probabilities of their labels, [K, C].
Evidence = tuple[NDArray[np.int64], NDArray[np.float64]]
MOST_LABELS = 200  # labels up to which evidence is kept: 8 bytes per word and label


@dataclass(frozen=True, slots=True)
class TokensPrediction:
    """The spans of a text, and the tags of its words in the scheme of the training data.

    The keys of a span are start and end (characters), label, text, and score, the mean probability of its
    tags; with a decision rule, each has a decision. The decision of a text is "review" if one of its spans is
    for review.
    """

    spans: list[dict[str, Any]]
    words: list[str]
    tags: list[str]
    decision: str | None = field(default=None, metadata=OF_A_RULE)


class JudgedTokens(TokensPrediction):
    """A prediction for a text with gold, which keeps the log-probabilities of its words."""

    def __init__(
        self,
        spans: list[dict[str, Any]],
        words: list[str],
        tags: list[str],
        decision: str | None = None,
        evidence: Evidence | None = None,
    ) -> None:
        values = {"spans": spans, "words": words, "tags": tags, "decision": decision, "evidence": evidence}
        for name, value in values.items():
            object.__setattr__(self, name, value)

    evidence: Evidence | None
