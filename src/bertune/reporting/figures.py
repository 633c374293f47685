"""The figure of the learning curves."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bertune.reporting.canvas import BLUE, GREEN, INK, MUTED, ORANGE, VIOLET, Drawing, draw, upright
from bertune.reporting.curves import Curves, EvaluationPoint, smoothed, thinned
from bertune.reporting.wording import count, score_name

SCORE_LOOKS = ((BLUE, "o", 1.8), (GREEN, "s", 1.1), (VIOLET, "^", 1.1), (MUTED, "D", 1.1))
MOST_EPOCH_TICKS = 8


def learning_curves(curves: Curves) -> Drawing | None:
    """Loss, validation scores and learning rate by step; None if no step has a finite loss."""
    if not any(loss == loss for loss in curves.losses):
        return None
    series = curves.score_series
    has_lrs = any(lr == lr for lr in curves.lrs)
    heights = [3.0, *([1.9] if series else []), *([0.75] if has_lrs else [])]

    def paint(figure: Figure, is_narrow: bool) -> None:
        panels = list(
            figure.subplots(len(heights), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
        )
        _loss(panels[0], curves, is_narrow)
        if series:
            _scores(panels[1], series, num_columns=2 if is_narrow else 4)
        if has_lrs:
            _lrs(panels[-1], curves)
        for panel in panels:
            _marks(panel, curves)
        _steps(panels[-1], curves, is_narrow)

    return draw("learning_curves", _described(curves), paint, height=1.1 * sum(heights) + 0.8)


def _described(curves: Curves) -> str:
    turn = curves.overfitting
    ending = f"; overfitting begins after step {turn.step:,}" if turn else ""
    return f"Training and validation loss over {curves.steps[-1]:,} steps{ending}"


def _loss(axes: Axes, curves: Curves, is_narrow: bool) -> None:
    upright(axes)
    axes.set_ylabel("loss")
    steps = thinned(curves.steps)
    axes.plot(steps, thinned(curves.losses), color=BLUE, alpha=0.22, linewidth=0.7)
    axes.plot(steps, thinned(smoothed(curves.losses)), color=BLUE, linewidth=1.2, label="training (smoothed)")
    for index, epoch in enumerate(curves.epochs):
        label = "training (epoch mean)" if index == 0 else ""
        axes.hlines(epoch.loss, epoch.first, epoch.last, color=INK, linewidth=1.2, label=label)
    _line(axes, curves.evaluations)
    finite = [loss for loss in curves.losses if loss == loss]
    if min(finite) >= 0:
        axes.set_ylim(bottom=0)
    handles, labels = axes.get_legend_handles_labels()
    columns = 1 if is_narrow else len(labels)
    axes.legend(handles, labels, loc="lower left", ncols=columns, bbox_to_anchor=(0, 1.1), borderaxespad=0)


def _line(axes: Axes, evaluations: Sequence[EvaluationPoint]) -> None:
    points = [(e.step, e.loss) for e in evaluations if e.loss is not None]
    if points:
        axes.plot(*zip(*points, strict=True), color=ORANGE, marker="o", markersize=4, label="validation")


def _scores(axes: Axes, series: dict[str, list[tuple[int, float]]], num_columns: int) -> None:
    upright(axes)
    axes.set_ylabel("validation score")
    for (key, points), (colour, marker, width) in zip(series.items(), SCORE_LOOKS, strict=False):
        steps, values = zip(*points, strict=True)
        axes.plot(
            steps,
            values,
            color=colour,
            marker=marker,
            markersize=3.5,
            linewidth=width,
            label=score_name(key),
        )
    axes.margins(y=0.15)
    axes.legend(loc="lower left", ncols=num_columns, bbox_to_anchor=(0, 1.0), borderaxespad=0.2)


def _lrs(axes: Axes, curves: Curves) -> None:
    upright(axes)
    axes.set_ylabel("learning\nrate")
    axes.plot(thinned(curves.steps), thinned(curves.lrs), color=MUTED, linewidth=1.2)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(2))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.2g}"))


def _marks(axes: Axes, curves: Curves) -> None:
    """Marks the step of the best checkpoint and the overfitting part of the run."""
    is_top = axes.get_subplotspec() is not None and axes.get_subplotspec().is_first_row()  # type: ignore[union-attr]
    turn = curves.overfitting
    last = curves.steps[-1]
    if curves.kept is not None:
        axes.axvline(curves.kept, color=INK, linewidth=0.9)
        if is_top:
            _note(axes, curves.kept, last, f"best: step {curves.kept:,}", 0.0)
    if turn is not None:
        axes.axvspan(turn.step, last, color=ORANGE, alpha=0.07, linewidth=0)
        if is_top:
            _note(axes, turn.step, last, "overfitting begins", -11)


def _note(axes: Axes, step: int, last: int, text: str, down: float) -> None:
    is_right = step > 0.45 * last
    axes.annotate(
        text,
        (step, 1),
        xycoords=("data", "axes fraction"),
        xytext=(-3 if is_right else 3, 3 + down),
        textcoords="offset points",
        ha="right" if is_right else "left",
        fontsize=8,
        color=ORANGE if down else INK,
    )


def _steps(axes: Axes, curves: Curves, is_narrow: bool) -> None:
    axes.set_xlabel("optimizer step")
    axes.set_xlim(0, max(curves.steps[-1] * 1.01, 2))
    ends = [epoch for epoch in curves.epochs if epoch.is_whole]
    if not ends:
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        return
    stride = -(-len(ends) // (MOST_EPOCH_TICKS // (2 if is_narrow else 1)))
    shown = ends[::-1][::stride][::-1]
    labels = [f"{epoch.last:,}\nepoch {epoch.number}" for epoch in shown]
    axes.set_xticks([0, *[epoch.last for epoch in shown]], ["0", *labels])
