"""Writes a scene as SVG for inlining in HTML: no IDs, no external references, the colours of the page."""

from collections.abc import Iterable, Iterator
from html import escape

from markupsafe import Markup

from bertune.reporting.palette import VARIABLES
from bertune.reporting.scene import Area, Boxes, Line, Markers, Point, Scene, Shape, Text, marker_outline


def svg(scene: Scene, description: str, full_width: float) -> Markup:
    """The SVG element of a scene. `description` is the alternative text.

    A scene narrower than `full_width`, in points, takes only its share of the page's width.
    """
    size = f"0 0 {_number(scene.width)} {_number(scene.height)}"
    share = min(scene.width / full_width, 1.0)
    narrower = f' style="max-width: {100 * share:.1f}%"' if share < 1 else ""
    opening = f'<svg viewBox="{size}" role="img" aria-label="{escape(description)}"{narrower}>'
    return Markup("\n".join([opening, *(_element(shape) for shape in scene.shapes), "</svg>"]))


def _element(shape: Shape) -> str:
    if isinstance(shape, Text):
        return _text(shape)
    if isinstance(shape, Line):
        dash = f"; stroke-dasharray: {shape.dash[0]:g} {shape.dash[1]:g}" if shape.dash else ""
        style = f"fill: none; stroke: {_colour(shape.colour)}; stroke-width: {shape.width:g}{dash}"
        if shape.opacity < 1:
            style += f"; stroke-opacity: {shape.opacity:g}"
        return f'<path d="{_path(shape.points)}" style="{style}"/>'
    fill = f"fill: {_colour(shape.colour)}" + (
        f"; fill-opacity: {shape.opacity:g}" if shape.opacity < 1 else ""
    )
    if isinstance(shape, Area):
        return f'<path d="{_path(shape.points)}z" style="{fill}"/>'
    if isinstance(shape, Boxes):
        # Without antialiasing, the background does not show between two boxes that touch.
        boxes = "".join(_box(*box) for box in shape.boxes)
        return f'<path d="{boxes}" style="{fill}" shape-rendering="crispEdges"/>'
    return f'<g style="{fill}">{"".join(_markers(shape))}</g>'


def _text(text: Text) -> str:
    x, y = map(_number, text.point)
    rotated = "" if text.is_upright else f' transform="rotate(-90 {x} {y})"'
    style = f"fill: {_colour(text.colour)}; font-size: {text.size:g}px; text-anchor: {text.anchor}"
    return f'<text x="{x}" y="{y}"{rotated} style="{style}">{escape(text.text)}</text>'


def _markers(markers: Markers) -> Iterator[str]:
    if markers.shape == "circle":
        radius = _number(markers.size / 2)
        for x, y in markers.points:
            yield f'<circle cx="{_number(x)}" cy="{_number(y)}" r="{radius}"/>'
        return
    corners = marker_outline(markers.shape, markers.size)
    for x, y in markers.points:
        yield f'<path d="{_path((x + dx, y + dy) for dx, dy in corners)}z"/>'


def _path(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{_number(x)} {_number(y)}" for x, y in points)


def _box(left: float, top: float, width: float, height: float) -> str:
    w, h = _number(width, 2), _number(height, 2)
    return f"M{_number(left, 2)} {_number(top, 2)}h{w}v{h}h-{w}z"


def _number(value: float, digits: int = 1) -> str:
    """A coordinate: a tenth of a point is less than a pixel of the page."""
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")


def _colour(colour: str) -> str:
    return f"var({VARIABLES[colour]})"
