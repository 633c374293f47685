"""Times prediction in complete passes over the same texts."""

import time
from collections.abc import Callable, Sequence
from typing import Any

from bertune.bench.job import Job

_SAMPLE = 256  # texts whose probabilities are reported, to check that all contestants agree
_WARMUP = 64  # texts

Texts = Sequence[tuple[str, ...]]


def timed_passes(job: Job, predict: Callable[[Texts], list[float]]) -> dict[str, Any]:
    """Measures prediction on a job's texts, from text to probabilities, including tokenization.

    `predict` returns the probability of the last label for each text, in order.
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
