"""Tables and figures that accompany scores in a report, as plain JSON.

`Scores.details` can hold any of these entries; the report omits the ones that are missing:

- `unit`, `count`: what a score averages over, if not rows (for example queries), and their number
- `baseline`: the score of a trivial prediction that needs no model
- `labels`, `confusion_matrix` [gold][predicted], `counted`: what the matrix counts, if not rows; with many
  labels, `confusions` replaces the matrix: see bertune.metrics.confusions
- `per_class`: label, precision, recall, f1 and support of each label, see `class_row`
- `by_batch`: score, batch_size, values, total, and `num_batches` if `values` is a sample
- `tables`, `figures`: lists of the values that the functions of this module return
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bertune.metrics.scores import LOWER_IS_BETTER

MOST_POINTS = 500  # points in a scatter plot; more only overlap
MOST_ON_CURVE = 100  # points on a curve
MOST_ROWS = 200  # rows in a table
BINS = 10  # bins of a calibration curve (Guo et al. 2017 use 15, for test sets of 10,000)
PLACES = ((1, 1), (2, 3), (4, 10), (11, None))  # groups of ranks, from 1

Plain = dict[str, Any]


def baseline(score: str, value: float, how: str) -> Plain:
    """The score of a trivial prediction; `how` describes it, for example "random choice"."""
    return {"score": score, "value": value, "how": how, "lower_is_better": score in LOWER_IS_BETTER}


def class_row(label: str, triple: Sequence[float] | None, support: int) -> Plain:
    """The scores of a label: precision, recall, F1 and support.

    A `triple` of None means that the label is neither gold nor predicted.
    """
    names = ("precision", "recall", "f1")
    scores = dict.fromkeys(names) if triple is None else dict(zip(names, map(float, triple), strict=True))
    return {"label": label, **scores, "support": int(support)}


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[Any]], note: str = "") -> Plain:
    """A table of strings, integers, floats and None; the first column is the name of the row.

    Only the first MOST_ROWS rows are kept, with a note.
    """
    if len(rows) > MOST_ROWS:
        note = f"{note} Showing the first {MOST_ROWS} of {len(rows):,} rows.".strip()
    kept = [list(row) for row in rows[:MOST_ROWS]]
    return {"title": title, "headings": list(headings), "rows": kept, "note": note}


def rank_table(title: str, ranks: Sequence[int], unit: str, note: str = "") -> Plain:
    """The distribution of ranks over the groups in PLACES; `unit` is what is counted."""
    ranks_N = np.asarray(ranks)
    rows = []
    for low, high in PLACES:
        in_group_N = (ranks_N >= low) & (ranks_N <= (high or np.inf))
        name = f"{low}" if low == high else f"{low} to {high}" if high else f"{low} or later"
        rows.append([name, int(in_group_N.sum()), float(in_group_N.mean())])
    return table(title, ["rank", unit, "fraction"], rows, note)


def scatter(
    title: str, axes: tuple[str, str], x: ArrayLike, y: ArrayLike, is_diagonal: bool = False
) -> Plain:
    """A scatter plot, thinned out evenly to MOST_POINTS; `is_diagonal` draws the line x = y."""
    x_N, y_N = _finite(x, y)
    stride = -(-len(x_N) // MOST_POINTS) or 1
    points = {"x": _short(x_N[::stride]), "y": _short(y_N[::stride])}
    return _figure("scatter", title, axes, **points, is_diagonal=is_diagonal, num=len(x_N))


def histogram(title: str, axes: tuple[str, str], values: ArrayLike, edges: Sequence[float]) -> Plain:
    """The number of values in each bin; the last edge is inclusive."""
    # Rounding may move a value slightly beyond the first or last edge.
    inside = np.clip(np.asarray(values, np.float64), edges[0], edges[-1])
    counts = np.histogram(inside, bins=list(edges))[0]
    return _figure("histogram", title, axes, edges=list(map(float, edges)), counts=counts.tolist())


def curve(
    title: str,
    axes: tuple[str, str],
    series: Mapping[str, tuple[ArrayLike, ArrayLike]],
    marks: Mapping[str, float] | None = None,
) -> Plain:
    """One line per name, with ascending x, and named marks on the x axis."""
    thinned = {}
    for name, (x, y) in series.items():
        x_N, y_N = np.asarray(x, np.float64), np.asarray(y, np.float64)
        chosen = np.unique(np.linspace(0, len(x_N) - 1, min(len(x_N), MOST_ON_CURVE)).round().astype(int))
        thinned[name] = {"x": _short(x_N[chosen]), "y": _short(y_N[chosen])}
    return _figure("curve", title, axes, series=thinned, marks=dict(marks or {}))


def calibration(confidence: ArrayLike, is_right: ArrayLike, unit: str) -> Plain:
    """Accuracy by confidence, in bins of equal width; `error` is the expected calibration error.

    See Guo et al. 2017, sections 2 and 3. Confidences are from 0 to 1; `unit` is what is counted.
    """
    return calibration_of(bin_sums(confidence, is_right), unit)


def bin_sums(confidence: ArrayLike, is_right: ArrayLike) -> NDArray[np.float64]:
    """Number of predictions, sum of confidences and number of correct predictions in each bin [3, BINS].

    The sums of several parts of the data can be added.
    """
    confidence_N, right_N = _finite(confidence, is_right)
    bin_N = np.minimum((confidence_N * BINS).astype(int), BINS - 1)
    return np.stack([np.bincount(bin_N, weights, BINS) for weights in (None, confidence_N, right_N)])


def calibration_of(sums_3B: NDArray[np.float64], unit: str) -> Plain:
    """`calibration` from the result of `bin_sums`."""
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
    axes = ("confidence", "accuracy")
    return _figure("calibration", "Calibration", axes, bins=bins, error=error, unit=unit)


def _figure(kind: str, title: str, axes: tuple[str, str], **content: Any) -> Plain:
    return {"kind": kind, "title": title, "axes": list(axes), **content}


def _finite(x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Drop pairs with NaN or infinite values, which a diverged training can produce."""
    x_N, y_N = np.asarray(x, np.float64), np.asarray(y, np.float64)
    is_number_N = np.isfinite(x_N) & np.isfinite(y_N)
    return x_N[is_number_N], y_N[is_number_N]


def _short(values: NDArray[np.float64]) -> list[float]:
    """Round to six significant digits, so that manifests stay readable."""
    return [float(f"{value:.6g}") for value in values]
