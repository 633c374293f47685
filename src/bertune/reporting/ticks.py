"""Axes of figures: ranges, and round numbers as ticks."""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

_ROUND = (1.0, 2.0, 2.5, 5.0, 10.0)  # the steps between ticks, times a power of ten
_LARGEST = 1e100  # beyond it, a difference of two values could overflow

Format = Callable[[float], str]


@dataclass(frozen=True)
class Axis:
    """The range of an axis, its ticks with their labels, and its title. Line breaks are allowed in both."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    title: str = ""


def numeric_axis(
    bounds: tuple[float, float],
    most: int,
    title: str = "",
    style: Format | None = None,
    are_whole: bool = False,
) -> Axis:
    """An axis from the first to the second bound, with at most `most` intervals between round numbers.

    `style` formats the numbers; by default, all get the decimals that their step needs. With `are_whole`,
    ticks are integers.
    """
    low, high = _apart(*bounds)
    step = _round_step((high - low) / max(most, 1), are_whole)
    # A tick may miss its bound by a rounding error.
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    values = [number * step for number in range(first, last + 1)]
    labels = style or (lambda value: _with_decimals(value, step))
    return Axis(low, high, tuple((value, labels(value)) for value in values), title)


def extent(values: Iterable[float], margin: float = 0.05) -> tuple[float, float]:
    """The smallest and the largest finite value, extended on both sides by a share of their distance."""
    known = [value for value in values if math.isfinite(value)] or [0.0, 1.0]
    low, high = _apart(min(known), max(known))
    return low - margin * (high - low), high + margin * (high - low)


def extent_from_zero(values: Iterable[float], margin: float = 0.05) -> tuple[float, float]:
    """The range of bars: from zero to the largest value plus a margin, and likewise below zero."""
    known = [*(value for value in values if math.isfinite(value)), 0.0]
    low, high = _apart(min(known), max(known)) if any(known) else (0.0, 1.0)
    room = margin * (high - low)
    return low - room if low < 0 else low, high + room if high > 0 else high


def _apart(low: float, high: float) -> tuple[float, float]:
    """Bounds that differ enough to draw something between them."""
    low, high = (min(max(bound, -_LARGEST), _LARGEST) for bound in (low, high))
    if high - low > 1e-9 * max(abs(low), abs(high), 1e-100):
        return low, high
    around = 0.05 * max(abs(low), abs(high)) or 0.05
    return low - around, high + around


def _round_step(least: float, is_whole: bool) -> float:
    """The smallest round number that is not below `least`."""
    if is_whole:
        least = max(least, 1.0)
    power = 10.0 ** math.floor(math.log10(least))
    steps = [factor * power for factor in _ROUND if not is_whole or (factor * power).is_integer()]
    return next(step for step in steps if step >= least * (1 - 1e-9))


def _with_decimals(value: float, step: float) -> str:
    if step < 1e-4 or step >= 1e6:
        return f"{'−' if value < 0 else ''}{abs(value):.3g}"
    decimals = next(n for n in range(7) if math.isclose(step, round(step, n), rel_tol=1e-6))
    # Adding zero turns a negative zero into zero.
    return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")
