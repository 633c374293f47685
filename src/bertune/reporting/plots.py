"""Draws the figures recorded with scores, by kind: scatter, histogram, curve, calibration."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bertune.errors import counted
from bertune.files import JsonObject
from bertune.manifest.details import DetailsRecord
from bertune.reporting.axes import SIZE, Key, Panel, arrange
from bertune.reporting.canvas import Drawing, is_narrow
from bertune.reporting.palette import BLUE, GREEN, INK, MUTED, ORANGE, VIOLET
from bertune.reporting.scene import Line, Markers, Scene, Shape
from bertune.reporting.ticks import Axis, extent, extent_from_zero, numeric_axis
from bertune.reporting.wording import count, decimal, plain, real, visible

_SPARSE = 60  # points in a scatter plot that do not overlap even if they are large
_MARK = 32  # characters of the name of a vertical line
COLOURS = (BLUE, GREEN, VIOLET, MUTED)


@dataclass(frozen=True)
class Plot:
    """A figure with its heading and caption."""

    title: str
    drawing: Drawing
    caption: str


def plots(details: DetailsRecord, split: str) -> list[Plot]:
    """Draws the recorded figures; empty ones and unknown kinds are skipped."""
    drawn: list[Plot] = []
    used: set[str] = set()
    for figure in details.figures or []:
        recorded = figure.model_dump(exclude_unset=True)
        kind = KINDS.get(str(recorded.get("kind")))
        if kind is None or not kind.has_content(recorded):
            continue
        title = visible(recorded.get("title") or recorded["kind"])
        stem = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or str(recorded["kind"])
        name = next(n for n in (stem, *(f"{stem}_{i}" for i in range(2, 99))) if n not in used)
        used.add(name)
        caption = kind.caption(recorded)
        drawing = Drawing(f"{name}_{split}", f"{title}. {caption}", _painter(kind, recorded), kind.height)
        drawn.append(Plot(title, drawing, caption))
    return drawn


@dataclass(frozen=True)
class Kind:
    """How to draw one kind of figure."""

    has_content: Callable[[JsonObject], bool]
    shapes: Callable[[JsonObject, float, float], Iterator[Shape]]  # for a width and a height in points
    caption: Callable[[JsonObject], str]
    height: float  # inches


def _painter(kind: Kind, recorded: JsonObject) -> Callable[[float, float], Scene]:
    return lambda width, height: Scene(width, height, tuple(kind.shapes(recorded, width, height)))


def _titles(recorded: JsonObject) -> tuple[str, str]:
    """The titles of the horizontal and the vertical axis."""
    titles: list[Any] = [*(recorded.get("axes") or []), "", ""]
    return plain(titles[0], 60), plain(titles[1], 40)


def _x_axis(values: Iterable[float], title: str, width: float) -> Axis:
    known = list(values)
    are_whole = all(float(value).is_integer() for value in known)
    return numeric_axis(extent(known), 5 if is_narrow(width) else 9, title, are_whole=are_whole)


def _points(recorded: JsonObject) -> list[tuple[float, float]]:
    pairs = zip(recorded.get("x") or [], recorded.get("y") or [], strict=False)
    finite = [(real(x), real(y)) for x, y in pairs]
    return [(x, y) for x, y in finite if x is not None and y is not None]


def _scatter(recorded: JsonObject, width: float, height: float) -> Iterator[Shape]:
    points = _points(recorded)
    x_title, y_title = _titles(recorded)
    xs, ys = ([point[i] for point in points] for i in (0, 1))
    ends = [(bound, bound) for bound in (min(xs), max(xs))] if recorded.get("is_diagonal") else []
    y = numeric_axis(extent([*ys, *(end for _, end in ends)]), 7, y_title)
    (frame,), shapes = arrange(width, height, [Panel(_x_axis(xs, x_title, width), y)])
    yield from shapes
    is_sparse = len(points) <= _SPARSE
    size, opacity = (6.0, 0.8) if is_sparse else (3.2, 0.35)
    yield frame.markers(points, Markers((), "circle", size, BLUE, opacity=opacity))
    yield from frame.line(ends, Line((), ORANGE, 1.2))


def _scatter_caption(recorded: JsonObject) -> str:
    drawn = len(_points(recorded))
    total = recorded.get("num") or drawn
    points = f"{count(drawn)} of {counted(total, 'point')}" if drawn < total else counted(total, "point")
    return f"{points}." + (" On the line, both values are equal." if recorded.get("is_diagonal") else "")


def _histogram(recorded: JsonObject, width: float, height: float) -> Iterator[Shape]:
    counts, edges = recorded["counts"], recorded["edges"]
    x_title, y_title = _titles(recorded)
    y = numeric_axis(extent_from_zero(counts), 6, y_title, count, are_whole=True)
    (frame,), shapes = arrange(width, height, [Panel(_x_axis(edges, x_title, width), y)])
    yield from shapes
    yield frame.bars(zip(edges, edges[1:], counts, strict=False), BLUE)


def _has_counts(recorded: JsonObject) -> bool:
    counts, edges = recorded.get("counts") or [], recorded.get("edges") or []
    return sum(counts) > 0 and len(edges) == len(counts) + 1


def _curve(recorded: JsonObject, width: float, height: float) -> Iterator[Shape]:
    series = {name: points for name, values in recorded["series"].items() if (points := _points(values))}
    drawn = dict(zip(series, COLOURS, strict=False))
    marks = _marks(recorded)
    xs, ys = ([point[i] for name in drawn for point in series[name]] for i in (0, 1))
    x_title, y_title = _titles(recorded)
    keys = [Key(plain(name), colour, 1.5) for name, colour in drawn.items()] if len(series) > 1 else []
    panel = Panel(
        _x_axis([*xs, *marks.values()], x_title, width),
        numeric_axis(extent(ys), 7, y_title),
        keys=tuple(keys),
        headroom=SIZE + 6 if marks else 0,
    )
    (frame,), shapes = arrange(width, height, [panel])
    yield from shapes
    for name, colour in drawn.items():
        yield from frame.line(series[name], Line((), colour, 1.5))
    for level, (name, place) in enumerate(marks.items()):
        colour = (INK, ORANGE)[level % 2]
        yield frame.upright(place, colour)
        yield frame.note_beside(plain(name, _MARK), frame.x(place), frame.top - 3 + 11 * level, colour)


def _marks(recorded: JsonObject) -> dict[str, float]:
    marks = {name: real(place) for name, place in (recorded.get("marks") or {}).items()}
    return {name: place for name, place in marks.items() if place is not None}


def _curve_caption(recorded: JsonObject) -> str:
    marks = [f"{visible(name)}, at {decimal(place)}" for name, place in _marks(recorded).items()]
    lines = "Vertical line" if len(marks) == 1 else "Vertical lines"
    return f"{lines}: {'; '.join(marks)}." if marks else ""


def _calibration(recorded: JsonObject, width: float, height: float) -> Iterator[Shape]:
    bins = recorded["bins"]
    points = [(one["confidence"], one["right"]) for one in bins]
    before = [(one["confidence"], one["right"]) for one in recorded.get("before") or []]
    x_title, y_title = _titles(recorded)
    bounds = -0.03, 1.03  # probabilities, with room for the markers
    x = numeric_axis(bounds, 6, x_title)
    counts = extent_from_zero(one["count"] for one in bins)
    below = numeric_axis(counts, 2, "count", count, are_whole=True)
    names = (Key("after scaling", BLUE, 1.2, "circle"), Key("before scaling", ORANGE, 1.2, "square"))
    keys = names if before else ()
    panels = [Panel(x, numeric_axis(bounds, 6, y_title), 2.4, keys), Panel(x, below, 0.8)]
    (upper, lower), shapes = arrange(width, height, panels)
    yield from shapes
    yield from upper.line([(0, 0), (1, 1)], Line((), MUTED, 1.0, dash=(4, 3)))
    if before:
        yield from upper.line(before, Line((), ORANGE, 1.2))
        yield upper.markers(before, Markers((), "square", 4.5, ORANGE))
    yield from upper.line(points, Line((), BLUE, 1.2))
    yield upper.markers(points, Markers((), "circle", 4.5, BLUE))
    spans = ((one["confidence"] - 0.025, one["confidence"] + 0.025, one["count"]) for one in bins)
    yield lower.bars(spans, BLUE)


def _calibration_caption(recorded: JsonObject) -> str:
    return (
        "Below the dashed line the model is overconfident, above it underconfident. Expected calibration "
        f"error: {decimal(recorded.get('error'))}{_without_scaling(recorded)}.{_counted_by_bars(recorded)}"
    )


def _without_scaling(recorded: JsonObject) -> str:
    before = recorded.get("error_before")
    return "" if before is None else f", {decimal(before)} before temperature scaling"


def _counted_by_bars(recorded: JsonObject) -> str:
    unit = recorded.get("unit")
    return f" The bars show the number of {visible(unit)}." if unit else ""


def _has_series(recorded: JsonObject) -> bool:
    return any(_points(values) for values in (recorded.get("series") or {}).values())


def _no_caption(recorded: Any) -> str:
    return ""


KINDS = {
    "scatter": Kind(lambda recorded: bool(_points(recorded)), _scatter, _scatter_caption, 3.4),
    "histogram": Kind(_has_counts, _histogram, _no_caption, 2.5),
    "curve": Kind(_has_series, _curve, _curve_caption, 2.9),
    "calibration": Kind(lambda recorded: bool(recorded.get("bins")), _calibration, _calibration_caption, 3.6),
}
