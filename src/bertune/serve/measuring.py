"""Measure the speed of a backend on this machine: tokens per second, and the batch size needed for it.

Measuring also warms the backend up: the first calls of a runtime allocate memory and prepare kernels.
"""

import statistics
import time
from collections.abc import Callable
from collections.abc import Sequence as SequenceOf
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import cycle

from bertune.predict.backend import Backend
from bertune.serve.schedule import Costs
from bertune.text.sequences import Sequence

_FEWEST_TOKENS = 256  # minimum for the largest batch: smaller batches use a CPU badly
_ENOUGH = 0.97  # share of the highest rate: larger batches would only make others wait
_LONGEST_BATCH = 0.5  # seconds; batches that take longer are not tried
_HANDLING = 0.0003  # seconds that the service needs for a batch in addition to the call of the backend
_FASTER = 1.02  # improvement of the rate for which larger batches are tried
_REPEATS = 3


@dataclass(frozen=True)
class Speed:
    """The speed of a backend on some sequences of typical length."""

    costs: Costs
    batch_tokens: int  # smallest batch that reaches this rate
    sample_tokens: int  # length of the measured sequence, which has the median length
    single_seconds: float  # for this sequence alone
    sequences_per_second: float  # in batches


def measure(
    backend: Backend,
    samples: SequenceOf[Sequence],
    most_tokens: int,
    seconds: float,
    calls: int = 1,
    clock: Callable[[], float] = time.perf_counter,
) -> Speed:
    """Compute samples in batches of growing size, for about `seconds` seconds.

    `most_tokens` is the limit of a batch, and `calls` the number of batches at the same time, whose common
    rate is found. Raises the errors of the backend.
    """
    end = clock() + seconds
    by_length = sorted(samples, key=len)
    median = by_length[len(samples) // 2]
    # As the service will form batches: with padding, of similar lengths, otherwise of any.
    ordered = sorted(samples, key=lambda s: abs(len(s) - len(median))) if backend.runtime.pads else samples
    backend(by_length[-1:])  # a graph may open a second session for it
    backend([median])
    single = _timed(backend, [median], end, clock, least=2 * _REPEATS)
    tokens = min(_FEWEST_TOKENS, most_tokens)
    tried: list[_Rate] = []
    while True:
        batch = _batch(ordered, tokens)
        taken = _timed(backend, batch, end, clock)
        tried.append(_Rate(sum(map(len, batch)) / taken, tokens))
        if 2 * tokens > most_tokens or 2 * taken > _LONGEST_BATCH or clock() > end or _is_flat(tried):
            break
        tokens *= 2
    best = max(len(median) / single, *(found.rate for found in tried))
    chosen = next((found for found in tried if found.rate >= _ENOUGH * best), tried[-1])
    rate = (
        _common_rate(backend, _batch(ordered, chosen.tokens), calls, end, clock) if calls > 1 else chosen.rate
    )
    extra = max(0.0, single * chosen.rate - len(median)) + _HANDLING * chosen.rate
    return Speed(
        Costs(rate, round(min(most_tokens, extra)), backend.runtime.pads),
        chosen.tokens,
        len(median),
        single,
        rate / len(median),
    )


@dataclass(frozen=True)
class _Rate:
    """The rate of a backend with batches of some size."""

    rate: float  # tokens per second
    tokens: int


def _is_flat(tried: SequenceOf[_Rate]) -> bool:
    """Whether the last two sizes are no faster than the sizes before."""
    rates = [found.rate for found in tried]
    return len(rates) > 2 and max(rates[-2:]) < _FASTER * max(rates[:-2])


def _batch(samples: SequenceOf[Sequence], tokens: int) -> list[Sequence]:
    """The first samples, repeated if necessary, that fill a batch. Each is a separate example."""
    batch: list[Sequence] = []
    for number, sample in enumerate(cycle(samples)):
        tokens -= len(sample)
        if batch and tokens < 0:
            break
        batch.append(replace(sample, group=number))
    return batch


def _common_rate(
    backend: Backend, batch: SequenceOf[Sequence], calls: int, end: float, clock: Callable[[], float]
) -> float:
    """Tokens per second of several threads that compute the same batch at the same time."""

    def compute_all(_: SequenceOf[Sequence]) -> None:
        for computed in [threads.submit(backend, batch) for _ in range(calls)]:
            computed.result()

    with ThreadPoolExecutor(calls) as threads:
        return calls * sum(map(len, batch)) / _timed(compute_all, batch, end, clock)


def _timed(
    backend: Callable[[SequenceOf[Sequence]], object],
    batch: SequenceOf[Sequence],
    end: float,
    clock: Callable[[], float],
    least: int = _REPEATS,
) -> float:
    """The time of a call in seconds: the median of some calls, or the first one if the time is up."""
    taken: list[float] = []
    while len(taken) < least and (not taken or clock() < end):
        start = clock()
        backend(batch)
        taken.append(clock() - start)
    return statistics.median_low(taken)
