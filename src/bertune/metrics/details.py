"""Owns what scores may bring for a report beside their values: tables and figures, as plain JSON.

`Scores.details` may hold any of these; what is not there is left out of the report:

- `unit`, `count`: what a score is the mean over, where that is not a row, such as a query, and how many
- `baseline`: what a model that has learned nothing would score
- `labels`, `confusion_matrix` [gold][predicted], `counted`: what the matrix counts, where not rows;
  `confusions` in its place where labels are many: see bertune.metrics.confusions
- `per_class`: label, precision, recall, f1 and support each; `by_batch`: score, batch_size, values, total,
  `num_batches` where those are some of all
- `tables`, `figures`: lists of what is made here
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

MOST_POINTS = 500  # of a scatter; more only blacken it
MOST_ON_CURVE = 100
MOST_ROWS = 200  # of a table
BINS = 10  # of a calibration curve (Guo et al. 2017 use 15, for test sets of 10,000)
PLACES = ((1, 1), (2, 3), (4, 10), (11, None))  # of a ranking, from 1

Plain = dict[str, Any]


def baseline(score: str, value: float, how: str) -> Plain:
    """What needs no learning: "choosing at random" scores so much."""
    return {"score": score, "value": value, "how": how}


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> Plain:
    """Rows of texts, whole numbers, fractions and None; the first column names the row. Of more than
    MOST_ROWS the first are kept, and the note says so."""
    if len(rows) > MOST_ROWS:
        note = f"{note} These are the first {MOST_ROWS} of {len(rows):,} rows.".strip()
    kept = [list(row) for row in rows[:MOST_ROWS]]
    return {"title": title, "headings": list(headings), "rows": kept, "note": note}


def rank_table(title: str, ranks: Sequence[int], unit: str, note: str = "") -> Plain:
    """How many of what is ranked stand first, soon after, within ten, later."""
    ranks_N = np.asarray(ranks)
    rows = []
    for low, high in PLACES:
        there_N = (ranks_N >= low) & (ranks_N <= (high or np.inf))
        name = f"{low}" if low == high else f"{low} to {high}" if high else f"{low} or later"
        rows.append([name, int(there_N.sum()), float(there_N.mean())])
    return table(title, ["place", unit, "share"], rows, note)


def scatter(
    title: str, axes: tuple[str, str], x: ArrayLike, y: ArrayLike, is_diagonal: bool = False
) -> Plain:
    """Points; `is_diagonal` where x and y should be equal. Of very many, some, evenly from all."""
    x_N, y_N = _finite(x, y)
    stride = -(-len(x_N) // MOST_POINTS) or 1
    points = {"x": _short(x_N[::stride]), "y": _short(y_N[::stride])}
    return _figure("scatter", title, axes, **points, is_diagonal=is_diagonal, num=len(x_N))


def histogram(title: str, axes: tuple[str, str], values: ArrayLike, edges: Sequence[float]) -> Plain:
    """How many values lie between each two edges, the last edge included."""
    # Rounding may carry a value past the end that it stands at.
    inside = np.clip(np.asarray(values, np.float64), edges[0], edges[-1])
    counts = np.histogram(inside, bins=list(edges))[0]
    return _figure("histogram", title, axes, edges=list(map(float, edges)), counts=counts.tolist())


def curve(
    title: str,
    axes: tuple[str, str],
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    marks: Mapping[str, float] | None = None,
) -> Plain:
    """A line for each name, x ascending, and named places on the x axis."""
    thinned = {}
    for name, (x, y) in series.items():
        x_N, y_N = np.asarray(x, np.float64), np.asarray(y, np.float64)
        chosen = np.unique(np.linspace(0, len(x_N) - 1, min(len(x_N), MOST_ON_CURVE)).round().astype(int))
        thinned[name] = {"x": _short(x_N[chosen]), "y": _short(y_N[chosen])}
    return _figure("curve", title, axes, series=thinned, marks=dict(marks or {}))


def calibration(confidence: ArrayLike, is_right: ArrayLike, unit: str) -> Plain:
    """How often predictions are right, by how sure they are; `error` is the expected calibration error.

    Guo et al. 2017, sections 2 and 3; confidences are from 0 to 1, in bins of equal width.
    """
    return calibration_of(bin_sums(confidence, is_right), unit)


def bin_sums(confidence: ArrayLike, is_right: ArrayLike) -> NDArray[np.float64]:
    """For each bin of a calibration curve how many predictions fall in it, their summed confidence and how
    many are right [3, BINS]; those of parts of the data add up."""
    confidence_N, right_N = _finite(confidence, is_right)
    bin_N = np.minimum((confidence_N * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(bin_N, weights, BINS) for weights in (None, confidence_N, right_N)])


def calibration_of(sums_3B: NDArray[np.float64], unit: str) -> Plain:
    """The same from `bin_sums`."""
    counts_B = sums_3B[0]
    mean_B, share_B = (
        np.divide(total, counts_B, where=counts_B > 0, out=np.zeros(BINS)) for total in sums_3B[1:]
    )
    error = float((counts_B * np.abs(mean_B - share_B)).sum() / max(1, counts_B.sum()))
    bins = [
        {"confidence": mean, "right": share, "count": int(count)}
        for mean, share, count in zip(_short(mean_B), _short(share_B), counts_B, strict=True)
        if count
    ]
    axes = ("probability of what was predicted", f"share of {unit} that were right")
    return _figure("calibration", "Calibration", axes, bins=bins, error=error)


def _figure(kind: str, title: str, axes: tuple[str, str], **content: Any) -> Plain:
    return {"kind": kind, "title": title, "axes": list(axes), **content}


def _finite(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Without the pairs of which one is no number, as a training that went astray gives."""
    x_N, y_N = np.asarray(x, np.float64), np.asarray(y, np.float64)
    is_number_N = np.isfinite(x_N) & np.isfinite(y_N)
    return x_N[is_number_N], y_N[is_number_N]


def _short(values: NDArray[np.float64]) -> list[float]:
    """Six digits, so that a manifest stays readable."""
    return [float(f"{value:.6g}") for value in values]
