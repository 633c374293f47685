"""A figure of the report: the same content in two widths for the page, and as a PNG file."""

from collections.abc import Callable
from dataclasses import dataclass

from markupsafe import Markup

from bertune.reporting.scene import Scene
from bertune.reporting.svg import svg

POINTS = 72  # per inch
WIDE, NARROW = 8.6, 4.3  # inches; the page shows the version that fits, so that the text stays readable
Painter = Callable[[float, float], Scene]


@dataclass(frozen=True)
class Drawing:
    """A figure, its name (also that of the PNG file) and its alternative text."""

    name: str
    description: str
    paint: Painter  # draws the figure for a width and a height in points
    height: float  # inches
    narrow_height: float | None = None  # inches; `height` if None

    @property
    def scene(self) -> Scene:
        """The wide version as shapes."""
        return self.paint(WIDE * POINTS, self.height * POINTS)

    @property
    def wide(self) -> Markup:
        """The wide version as inline SVG."""
        return svg(self.scene, self.description, WIDE * POINTS)

    @property
    def narrow(self) -> Markup:
        """The narrow version as inline SVG."""
        height = (self.narrow_height or self.height) * POINTS
        return svg(self.paint(NARROW * POINTS, height), self.description, NARROW * POINTS)


def is_narrow(width: float) -> bool:
    """Whether a width in points belongs to the narrow version."""
    return width < (WIDE + NARROW) / 2 * POINTS
