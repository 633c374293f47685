"""Labels and probabilities of multi-label texts as matrices, for tests of the scores."""

import numpy as np

from bertune.metrics.arrays import BoolArray, FloatArray
from bertune.metrics.multilabel import Judged


def judged(gold_NC: BoolArray, probabilities_NC: FloatArray) -> Judged:
    gold = [np.flatnonzero(gold_C) for gold_C in gold_NC]
    return Judged(gold, gold_NC.shape[1], lambda texts, these: probabilities_NC[texts, these])
