"""Arranges panels with axes, grid lines and legends in a figure, and converts data to its coordinates."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from bertune.reporting.fonts import text_width
from bertune.reporting.palette import GRID, INK, MUTED
from bertune.reporting.scene import Anchor, Area, Boxes, Line, Marker, Markers, Point, Shape, Text
from bertune.reporting.ticks import Axis

SIZE = 8.5  # font size of all texts except legends
LEGEND_SIZE = 8.0
LINE_HEIGHT = 1.25  # times the size
_TICK = 3.5  # length of a tick
_GAP = 4.0  # between a label and what it belongs to
_SAMPLE = 17.0  # length of a line in a legend
_EDGE = 6.0  # around the figure


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a line, with a marker if there is one, or a box."""

    text: str
    colour: str
    width: float = 1.0
    marker: Marker | None = None
    marker_size: float = 4.0
    is_box: bool = False
    opacity: float = 1.0


@dataclass(frozen=True)
class Panel:
    """A plot to be arranged: its axes, its legend, and the room for notes above it."""

    x: Axis
    y: Axis
    share: float = 1.0  # height relative to the other panels
    keys: tuple[Key, ...] = ()
    headroom: float = 0.0  # points


@dataclass(frozen=True)
class Frame:
    """A panel at its place. Its methods take data and return shapes."""

    left: float
    top: float
    width: float
    height: float
    panel: Panel

    @property
    def right(self) -> float:
        """The right edge."""
        return self.left + self.width

    @property
    def bottom(self) -> float:
        """The lower edge."""
        return self.top + self.height

    def x(self, value: float) -> float:
        """The horizontal position of a value; values beyond the axis are on its edge."""
        axis = self.panel.x
        return self.left + self.width * min(max((value - axis.low) / (axis.high - axis.low), 0.0), 1.0)

    def y(self, value: float) -> float:
        """The vertical position of a value; values beyond the axis are on its edge."""
        axis = self.panel.y
        return self.bottom - self.height * min(max((value - axis.low) / (axis.high - axis.low), 0.0), 1.0)

    def points(self, pairs: Iterable[Point]) -> tuple[Point, ...]:
        """The positions of data points; those that are not finite are left out."""
        return tuple((self.x(x), self.y(y)) for x, y in pairs if math.isfinite(x) and math.isfinite(y))

    def line(self, pairs: Iterable[Point], look: Line) -> Iterator[Shape]:
        """A line through data points, interrupted where one is not finite; `look` gives colour and width."""
        for is_drawn, piece in groupby(pairs, key=lambda pair: all(map(math.isfinite, pair))):
            points = self.points(piece)
            if is_drawn and len(points) > 1:
                yield replace(look, points=points)

    def markers(self, pairs: Iterable[Point], look: Markers) -> Shape:
        """Markers at data points."""
        return replace(look, points=self.points(pairs))

    def bars(self, spans: Iterable[tuple[float, float, float]], colour: str, opacity: float = 0.75) -> Shape:
        """Bars from zero, each as (from, to, height)."""
        zero = self.y(0)
        boxes = []
        for start, end, height in spans:
            if not all(map(math.isfinite, (start, end, height))):
                continue
            left, tip = self.x(start), self.y(height)
            boxes.append((left, min(tip, zero), self.x(end) - left, abs(tip - zero)))
        return Boxes(tuple(boxes), colour, opacity)

    def outline(self, edges: Sequence[float], heights: Sequence[float], colour: str) -> Shape:
        """The outline of a histogram with at least one bar, from its first to its last one."""
        bars = list(zip(edges, edges[1:], heights, strict=False))
        shown = [number for number, bar in enumerate(bars) if bar[2]]
        bars = bars[shown[0] : shown[-1] + 1]
        tops = [corner for start, end, height in bars for corner in ((start, height), (end, height))]
        return Line(self.points([(bars[0][0], 0.0), *tops, (bars[-1][1], 0.0)]), colour)

    def upright(self, value: float, colour: str, width: float = 1.0) -> Shape:
        """A vertical line across the panel."""
        x = self.x(value)
        return Line(((x, self.top), (x, self.bottom)), colour, width)

    def level(self, value: float, colour: str, width: float = 1.0) -> Shape:
        """A horizontal line across the panel."""
        y = self.y(value)
        return Line(((self.left, y), (self.right, y)), colour, width)

    def band(self, start: float, end: float, colour: str, opacity: float) -> Shape:
        """A translucent band across the panel."""
        left, right = self.x(start), self.x(end)
        corners = ((left, self.top), (right, self.top), (right, self.bottom), (left, self.bottom))
        return Area(corners, colour, opacity)

    def note(self, text: str, x: float, y: float, colour: str = INK, anchor: Anchor = "start") -> Shape:
        """A text at a position in the figure."""
        return Text(text, (x, y), colour, SIZE, anchor)

    def note_beside(self, text: str, x: float, y: float, colour: str) -> Shape:
        """A text to the right of a position, or to its left if there is no room."""
        has_room = x + 3 + text_width(text, SIZE) <= self.right
        return self.note(text, x + 3 if has_room else x - 3, y, colour, "start" if has_room else "end")


def arrange(
    width: float, height: float, panels: Sequence[Panel], right: float = 0.0
) -> tuple[list[Frame], list[Shape]]:
    """Places panels one below the other; returns them with their axes, grid lines and legends.

    They share the horizontal axis, whose labels are below the last panel. `right` is the room for notes
    to the right of the panels, in points.
    """
    last = panels[-1].x
    left = _EDGE / 2 + max(_y_labels(panel.y) for panel in panels)
    beyond = max((_widest(label) / 2 for value, label in last.ticks[-1:] if value > _mostly(last)), default=0)
    area = width - left - max(right, beyond) - _EDGE
    legends = [list(_rows(panel.keys, area)) for panel in panels]
    above = [
        _EDGE + len(rows) * LEGEND_SIZE * 1.6 + panel.headroom
        for panel, rows in zip(panels, legends, strict=True)
    ]
    below = _x_labels(last)
    free = height - sum(above) - below - (len(panels) - 1) * _TICK
    frames, shapes, top = [], [], 0.0
    for panel, rows, room in zip(panels, legends, above, strict=True):
        size = free * panel.share / sum(p.share for p in panels)
        frame = Frame(left, top + room, area, size, panel)
        frames.append(frame)
        shapes += [*_grid(frame), *_legend(rows, left, top + _EDGE)]
        top = frame.bottom + _TICK
    return frames, [*shapes, *_x_texts(frames[-1])]


def _mostly(axis: Axis) -> float:
    """A value near the end of an axis, beyond which a label may need room at the right."""
    return axis.low + 0.9 * (axis.high - axis.low)


def _widest(text: str, size: float = SIZE) -> float:
    return max((text_width(line, size) for line in text.split("\n")), default=0.0)


def _lines_height(text: str) -> float:
    return len(text.split("\n")) * SIZE * LINE_HEIGHT if text else 0.0


def _y_labels(axis: Axis) -> float:
    """The room that the labels and the title at the left take."""
    return _widest_label(axis) + _GAP + (_lines_height(axis.title) + _GAP if axis.title else 0)


def _widest_label(axis: Axis) -> float:
    return max((_widest(label) for _, label in axis.ticks), default=0.0)


def _x_labels(axis: Axis) -> float:
    """The room that the ticks, the labels and the title at the bottom take."""
    labels = max((_lines_height(label) for _, label in axis.ticks), default=0.0)
    return _TICK + _GAP + labels + (_lines_height(axis.title) + _GAP if axis.title else 0) + _EDGE / 2


def _grid(frame: Frame) -> Iterator[Shape]:
    """Horizontal grid lines, the base line, ticks, and the labels and the title at the left."""
    axis = frame.panel.y
    for value, label in axis.ticks:
        yield frame.level(value, GRID, 0.8)
        place = frame.left - _GAP, frame.y(value) + 0.36 * SIZE
        yield Text(label, place, MUTED, SIZE, "end")
    yield Line(((frame.left, frame.bottom), (frame.right, frame.bottom)), MUTED, 0.8)
    for value, _ in frame.panel.x.ticks:
        x = frame.x(value)
        yield Line(((x, frame.bottom), (x, frame.bottom + _TICK)), MUTED, 0.8)
    lines = axis.title.split("\n") if axis.title else []
    middle = (frame.top + frame.bottom) / 2
    right = frame.left - _GAP - _widest_label(axis) - _GAP
    for number, line in enumerate(reversed(lines)):
        x = right - number * SIZE * LINE_HEIGHT - 0.2 * SIZE
        # Shorter than its panel, or at least within the figure.
        yield Text(line, (x, max(middle, _widest(line) / 2)), MUTED, SIZE, "middle", is_upright=False)


def _x_texts(frame: Frame) -> Iterator[Shape]:
    """The labels and the title at the bottom."""
    axis = frame.panel.x
    top = frame.bottom + _TICK + _GAP
    for value, label in axis.ticks:
        for number, line in enumerate(label.split("\n")):
            baseline = top + (number + 0.8) * SIZE * LINE_HEIGHT
            yield Text(line, (frame.x(value), baseline), MUTED, SIZE, "middle")
    top += max((_lines_height(label) for _, label in axis.ticks), default=0.0) + _GAP
    for number, line in enumerate(axis.title.split("\n") if axis.title else []):
        place = (frame.left + frame.right) / 2, top + (number + 0.8) * SIZE * LINE_HEIGHT
        yield Text(line, place, MUTED, SIZE, "middle")


def _rows(keys: Iterable[Key], width: float) -> Iterator[list[Key]]:
    """The entries of a legend in rows that fit."""
    row: list[Key] = []
    for key in keys:
        if row and sum(map(_key_width, [*row, key])) > width:
            yield row
            row = []
        row.append(key)
    if row:
        yield row


def _key_width(key: Key) -> float:
    return _SAMPLE + 6 + text_width(key.text, LEGEND_SIZE) + 14


def _legend(rows: Sequence[Sequence[Key]], left: float, top: float) -> Iterator[Shape]:
    for number, row in enumerate(rows):
        x, middle = left + 3, top + (number + 0.5) * LEGEND_SIZE * 1.6
        for key in row:
            if key.is_box:
                yield Boxes(((x, middle - 3, _SAMPLE, 6),), key.colour, key.opacity)
            else:
                yield Line(((x, middle), (x + _SAMPLE, middle)), key.colour, key.width)
            if key.marker:
                place = x + _SAMPLE / 2, middle
                yield Markers((place,), key.marker, key.marker_size, key.colour)
            baseline = middle + 0.36 * LEGEND_SIZE
            yield Text(key.text, (x + _SAMPLE + 6, baseline), INK, LEGEND_SIZE)
            x += _key_width(key)
