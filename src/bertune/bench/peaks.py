"""Measures the peak rates of the machine: matrix products and memory bandwidth, best of several tries."""

import os
import time
from collections.abc import Callable

import torch

from bertune.bench.floor import Peaks, Shape

_SQUARE = {"cpu": 2048, "cuda": 8192}
_TRIES = 7
_CALIBRATION = 1536
_MOST_BYTES = 512 << 20  # per buffer: three of them exceed any cache
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def measure_peaks(shape: Shape | None, tokens: int, precision: str, device: str) -> Peaks:
    """Peaks with this process's threads. `tokens` is the number of tokens of an average step.

    If `shape` is None, only square products are measured.
    """
    dtype, where = _DTYPES[precision], torch.device(device)
    size = _SQUARE.get(where.type, 2048)
    square = _product_seconds((size, size, size), dtype, where)
    square_flops = 2 * size**3 / square
    return Peaks(
        square_flops,
        _shapes_flops(shape, tokens, dtype, where) if shape else square_flops,
        *_bandwidths(where),
    )


def calibration_seconds() -> float:
    """The time of a fixed product on the CPU, to detect changes in the machine's speed."""
    a_NN = torch.ones(_CALIBRATION, _CALIBRATION)
    out_NN = torch.empty(_CALIBRATION, _CALIBRATION)
    seconds = sorted(_timed(lambda: torch.mm(a_NN, a_NN, out=out_NN), torch.device("cpu")) for _ in range(9))
    return seconds[len(seconds) // 2]


def calibration_flops() -> float:
    """FLOP per second of that product."""
    return float(2 * _CALIBRATION**3 / calibration_seconds())


def _shapes_flops(shape: Shape, tokens: int, dtype: torch.dtype, device: torch.device) -> float:
    """FLOP/s over the products of one layer: forward, input gradient, weight gradient."""
    hidden, wide, count = shape.hidden, shape.intermediate, max(8, tokens)
    layer = [(3 * hidden, hidden), (hidden, hidden), (wide, hidden), (hidden, wide)]  # outputs, inputs
    flops = seconds = 0.0
    for outputs, inputs in layer:
        for mnk in (
            (count, outputs, inputs),
            (count, inputs, outputs),
            (outputs, inputs, count),
        ):
            flops += 2.0 * mnk[0] * mnk[1] * mnk[2]
            seconds += _product_seconds(mnk, dtype, device)
    return flops / seconds


def _product_seconds(mnk: tuple[int, int, int], dtype: torch.dtype, device: torch.device) -> float:
    """The best time of [m,k] x [k,n], with either operand stored transposed or not."""
    m, n, k = mnk
    a_MK = torch.randn(m, k, device=device).to(dtype)
    b_KN = torch.randn(k, n, device=device).to(dtype)
    b_as_weight_KN = b_KN.T.contiguous().T
    a_as_gradient_MK = a_MK.T.contiguous().T
    out_MN = torch.empty(m, n, dtype=dtype, device=device)
    # Small products are repeated, because a call of microseconds is within the noise of the clock.
    repeat = max(1, int(2e8 / (2 * m * n * k)))
    best = float("inf")
    for first, second in ((a_MK, b_KN), (a_MK, b_as_weight_KN), (a_as_gradient_MK, b_KN)):

        def products(first: torch.Tensor = first, second: torch.Tensor = second) -> None:
            for _ in range(repeat):
                torch.mm(first, second, out=out_MN)

        best = min([best, *(_timed(products, device) / repeat for _ in range(_TRIES))])
    return best


def _bandwidths(device: torch.device) -> tuple[float, float]:
    """Bytes per second of a copy and of a triad, a = b + s·c, over buffers larger than the cache."""
    numbers = min(_MOST_BYTES, _free_bytes() // 8) // 4
    b, c = torch.ones(numbers, device=device), torch.ones(numbers, device=device)
    a = torch.empty(numbers, device=device)
    copy = min(_timed(lambda: a.copy_(b), device) for _ in range(_TRIES))
    triad = min(_timed(lambda: torch.add(b, c, alpha=0.5, out=a), device) for _ in range(_TRIES))
    return 8 * numbers / copy, 12 * numbers / triad


def _free_bytes() -> int:
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _timed(work: Callable[[], object], device: torch.device) -> float:
    _wait(device)
    started = time.perf_counter()
    work()
    _wait(device)
    return time.perf_counter() - started


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
