"""Figures as plain shapes, from which `svg.py` and `png.py` write files.

Coordinates, widths and sizes are in points (1/72 inch) from the top left corner; y increases downwards.
The colours are defined in `palette.py`.
"""

from dataclasses import dataclass
from typing import Literal

Point = tuple[float, float]
Anchor = Literal["start", "middle", "end"]
Marker = Literal["circle", "square", "triangle", "diamond"]


@dataclass(frozen=True)
class Line:
    """A line through two or more points."""

    points: tuple[Point, ...]
    colour: str
    width: float = 1.0
    opacity: float = 1.0
    dash: tuple[float, float] | None = None  # lengths of a dash and of the gap after it


@dataclass(frozen=True)
class Area:
    """A filled polygon."""

    points: tuple[Point, ...]
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Boxes:
    """Filled rectangles of one colour, each as (left, top, width, height)."""

    boxes: tuple[tuple[float, float, float, float], ...]
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Markers:
    """The same marker at several points. Overlapping markers add up if they are translucent."""

    points: tuple[Point, ...]
    shape: Marker
    size: float  # diameter
    colour: str
    opacity: float = 1.0


@dataclass(frozen=True)
class Text:
    """A line of text; `point` is on its baseline."""

    text: str
    point: Point
    colour: str
    size: float
    anchor: Anchor = "start"
    is_upright: bool = True  # otherwise it is rotated and reads from bottom to top


Shape = Line | Area | Boxes | Markers | Text


@dataclass(frozen=True)
class Scene:
    """A figure of a given size; later shapes cover earlier ones."""

    width: float
    height: float
    shapes: tuple[Shape, ...]


def marker_outline(shape: Marker, size: float) -> tuple[Point, ...]:
    """The corners of a marker around the origin. Raises ValueError for a circle, which has none."""
    half = size / 2
    if shape == "square":
        return (-half, -half), (half, -half), (half, half), (-half, half)
    if shape == "triangle":
        return (0, -half), (half, half), (-half, half)
    if shape == "diamond":
        return (0, -half * 1.3), (half * 1.3, 0), (0, half * 1.3), (-half * 1.3, 0)
    raise ValueError("a circle has no corners")
