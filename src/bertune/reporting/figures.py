"""The figure of the learning curves."""

import math
from collections.abc import Iterator, Sequence

from bertune.reporting.axes import LEGEND_SIZE, Frame, Key, Panel, arrange
from bertune.reporting.canvas import Drawing, is_narrow
from bertune.reporting.curves import Curves, smoothed, thinned
from bertune.reporting.palette import BLUE, GREEN, INK, MUTED, ORANGE, VIOLET
from bertune.reporting.scene import Line, Marker, Markers, Point, Scene, Shape
from bertune.reporting.ticks import Axis, extent, extent_from_zero, numeric_axis
from bertune.reporting.wording import count, score_name

SCORE_LOOKS: tuple[tuple[str, Marker, float], ...] = (
    (BLUE, "circle", 1.8),
    (GREEN, "square", 1.1),
    (VIOLET, "triangle", 1.1),
    (MUTED, "diamond", 1.1),
)
MOST_EPOCH_TICKS = 8
_NOTES = 14.0  # points above the loss for the step of the best checkpoint


def learning_curves(curves: Curves) -> Drawing | None:
    """Loss, validation scores and learning rate by step; None if no step has a finite loss."""
    if all(map(math.isnan, curves.losses)):
        return None
    has_lrs = not all(map(math.isnan, curves.lrs))

    def paint(width: float, height: float) -> Scene:
        steps = _steps(curves, width)
        plots = [_loss(curves, steps), *_scores(curves, steps), *([_lrs(curves, steps)] if has_lrs else [])]
        frames, shapes = arrange(width, height, [panel for panel, _ in plots])
        for frame, (_, lines) in zip(frames, plots, strict=True):
            shapes += _marks(frame, curves)
            for pairs, look in lines:
                shapes += frame.line(pairs, look) if isinstance(look, Line) else [frame.markers(pairs, look)]
        return Scene(width, height, (*shapes, *_notes(frames[0], curves)))

    num_inches = 3.0 + (1.9 if curves.score_series else 0) + (0.75 if has_lrs else 0)
    return Drawing("learning_curves", _described(curves), paint, height=1.1 * num_inches + 0.8)


Plotted = tuple[Sequence[Point], Line | Markers]  # data points, and how they look


def _described(curves: Curves) -> str:
    turn = curves.overfitting
    ending = f"; overfitting begins after step {turn.step:,}" if turn else ""
    return f"Training and validation loss over {curves.steps[-1]:,} steps{ending}"


def _loss(curves: Curves, steps: Axis) -> tuple[Panel, list[Plotted]]:
    numbers, losses = thinned(curves.steps), thinned(curves.losses)
    evaluations = [(e.step, e.loss) for e in curves.evaluations if e.loss is not None]
    lines: list[Plotted] = [
        (list(zip(numbers, losses, strict=True)), Line((), BLUE, 0.7, opacity=0.22)),
        (list(zip(numbers, thinned(smoothed(curves.losses)), strict=True)), Line((), BLUE, 1.2)),
        *(([(e.first, e.loss), (e.last, e.loss)], Line((), INK, 1.2)) for e in curves.epochs),
    ]
    keys = [Key("training (smoothed)", BLUE, 1.2)]
    if curves.epochs:
        keys.append(Key("training (epoch mean)", INK, 1.2))
    if evaluations:
        lines += _with_markers(evaluations, ORANGE, "circle", 1.5)
        keys.append(Key("validation", ORANGE, 1.5, "circle"))
    values = [loss for loss in (*losses, *(loss for _, loss in evaluations)) if not math.isnan(loss)]
    # Losses that are never negative are shown from zero.
    bounds = extent_from_zero(values) if min(values) >= 0 else extent(values)
    room = _NOTES if curves.kept is not None else 0.0
    return Panel(steps, numeric_axis(bounds, 9, "loss"), 3.0, tuple(keys), room), lines


def _scores(curves: Curves, steps: Axis) -> Iterator[tuple[Panel, list[Plotted]]]:
    """The panel of the validation scores, if there are any."""
    lines: list[Plotted] = []
    keys: list[Key] = []
    for (key, points), (colour, marker, width) in zip(curves.score_series.items(), SCORE_LOOKS, strict=False):
        lines += _with_markers(points, colour, marker, width)
        keys.append(Key(score_name(key), colour, width, marker))
    if lines:
        values = extent((value for points in curves.score_series.values() for _, value in points), 0.15)
        yield Panel(steps, numeric_axis(values, 6, "validation score"), 1.9, tuple(keys)), lines


def _with_markers(points: Sequence[Point], colour: str, marker: Marker, width: float) -> list[Plotted]:
    return [(points, Line((), colour, width)), (points, Markers((), marker, 4.5, colour))]


def _lrs(curves: Curves, steps: Axis) -> tuple[Panel, list[Plotted]]:
    points = list(zip(thinned(curves.steps), thinned(curves.lrs), strict=True))
    bounds = extent_from_zero(lr for lr in curves.lrs if not math.isnan(lr))
    axis = numeric_axis(bounds, 2, "learning\nrate", style=lambda value: f"{value:.2g}")
    return Panel(steps, axis, 0.75), [(points, Line((), MUTED, 1.2))]


def _marks(frame: Frame, curves: Curves) -> Iterator[Shape]:
    """Marks the step of the best checkpoint and the overfitting part of the run."""
    if curves.overfitting is not None:
        yield frame.band(curves.overfitting.step, curves.steps[-1], ORANGE, 0.07)
    if curves.kept is not None:
        yield frame.upright(curves.kept, INK, 0.9)


def _notes(frame: Frame, curves: Curves) -> Iterator[Shape]:
    """Names the marks in the uppermost panel."""
    if curves.kept is not None:
        yield _note(frame, curves.kept, curves.steps[-1], f"best: step {curves.kept:,}", INK, frame.top - 3)
    if curves.overfitting is not None:
        height = frame.top + LEGEND_SIZE + 1
        yield _note(frame, curves.overfitting.step, curves.steps[-1], "overfitting begins", ORANGE, height)


def _note(frame: Frame, step: int, last: int, text: str, colour: str, y: float) -> Shape:
    """A text to the left of a step in the right half of the run, otherwise to its right."""
    is_right = step > 0.45 * last
    x = frame.x(step) + (-3 if is_right else 3)
    return frame.note(text, x, y, colour, "end" if is_right else "start")


def _steps(curves: Curves, width: float) -> Axis:
    """The horizontal axis, with the ends of epochs as ticks."""
    title = "optimizer step"
    bounds = 0.0, max(curves.steps[-1] * 1.01, 2)
    ends = [epoch for epoch in curves.epochs if epoch.is_whole]
    if not ends:
        return numeric_axis(bounds, 4, title, count, are_whole=True)
    stride = -(-len(ends) // (MOST_EPOCH_TICKS // (2 if is_narrow(width) else 1)))
    shown = ends[::-1][::stride][::-1]
    ticks = [(float(epoch.last), f"{epoch.last:,}\nepoch {epoch.number}") for epoch in shown]
    return Axis(*bounds, ((0.0, "0"), *ticks), title)
