"""Owns the timing of prediction: whole passes over the same texts, and a sample of what came out."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from bertune.bench.job import Job

_SAMPLE = 256  # texts whose probabilities are reported, so that all can be seen to compute the same
_WARMUP = 64  # texts

Texts = Sequence[tuple[str, ...]]


def timed_passes(job: Job, predict: Callable[[Texts], list[float]]) -> dict[str, Any]:
    """The numbers of predicting a job's texts, from text to probabilities, tokenization included.

    `predict` gives the probability of the last label for every text, in order.
    """
    texts = [item[0] for item in job.items()]
    predict(texts[:_WARMUP])
    probabilities: list[float] = []
    passes = 0
    started, cpu_started = time.perf_counter(), time.process_time()
    while passes == 0 or time.perf_counter() - started < job.seconds:
        probabilities = predict(texts)
        passes += 1
    seconds = time.perf_counter() - started
    return {
        "examples_per_second": passes * len(texts) / seconds,
        "seconds": seconds,
        "cpu_seconds": time.process_time() - cpu_started,
        "passes": passes,
        "probabilities": [round(p, 4) for p in probabilities[:_SAMPLE]],
    }
