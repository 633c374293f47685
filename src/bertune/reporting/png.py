"""Writes a scene as PNG, with matplotlib's Agg renderer."""

import io
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import RendererAgg
from matplotlib.font_manager import FontProperties
from matplotlib.path import Path
from matplotlib.transforms import Affine2D, IdentityTransform
from PIL import Image

from bertune.reporting.fonts import families
from bertune.reporting.palette import WHITE
from bertune.reporting.scene import Area, Boxes, Line, Markers, Point, Scene, Shape, Text, marker_outline

DPI = 160  # a figure of the page's width then has about 1,400 pixels
_SCALE = DPI / 72  # pixels per point
_COMPRESSION = 3  # faster than the default, for files that are a quarter larger
_Renderer: Any = RendererAgg  # its stub has no types


def png(scene: Scene) -> bytes:
    """The PNG file of a scene, on white. The same scene gives the same bytes with the same fonts."""
    width, height = round(scene.width * _SCALE), round(scene.height * _SCALE)
    canvas = _Canvas(_Renderer(width, height, DPI), height)
    canvas.draw(Boxes(((0, 0, scene.width, scene.height),), WHITE))
    for shape in scene.shapes:
        canvas.draw(shape)
    pixels = Image.frombuffer("RGBA", (width, height), canvas.renderer.buffer_rgba())
    file = io.BytesIO()
    pixels.convert("RGB").save(file, format="PNG", compress_level=_COMPRESSION)
    return file.getvalue()


class _Canvas:
    """Draws shapes with a renderer, whose pixels are counted from the bottom left corner."""

    def __init__(self, renderer: Any, height: int) -> None:
        self.renderer = renderer
        self._to_pixels = Affine2D().scale(_SCALE, -_SCALE).translate(0, height)

    def draw(self, shape: Shape) -> None:
        """Draw one shape."""
        if isinstance(shape, Text):
            self._text(shape)
            return
        gc = self.renderer.new_gc()
        gc.set_alpha(shape.opacity)
        gc.set_foreground(shape.colour)
        if isinstance(shape, Line):
            gc.set_linewidth(shape.width)
            gc.set_joinstyle("round")
            gc.set_capstyle("butt")
            gc.set_dashes(0, list(shape.dash) if shape.dash else None)
            gc.set_snap(len(shape.points) == 2)  # an axis or a grid line is then sharp
            self.renderer.draw_path(gc, _path(shape.points, is_closed=False), self._to_pixels)
            return
        gc.set_linewidth(0)
        fill = _rgb(shape.colour)
        if isinstance(shape, Area):
            self.renderer.draw_path(gc, _path(shape.points), self._to_pixels, fill)
        elif isinstance(shape, Boxes):
            gc.set_antialiased(False)  # otherwise the background shows between two boxes that touch
            for x, y, w, h in shape.boxes:
                corners = ((x, y), (x + w, y), (x + w, y + h), (x, y + h))
                self.renderer.draw_path(gc, _path(corners), self._to_pixels, fill)
        else:
            outline, scale = _marker(shape)
            places = _path(shape.points, is_closed=False)
            self.renderer.draw_markers(gc, outline, scale, places, self._to_pixels, fill)

    def _text(self, text: Text) -> None:
        font = FontProperties(family=list(families()), size=text.size)
        width, _, _ = self.renderer.get_text_width_height_descent(text.text, font, ismath=False)
        before = {"start": 0.0, "middle": width / 2, "end": width}[text.anchor]
        x, y = text.point[0] * _SCALE, text.point[1] * _SCALE
        x, y = (x - before, y) if text.is_upright else (x, y + before)
        gc = self.renderer.new_gc()
        gc.set_foreground(text.colour)
        self.renderer.draw_text(gc, x, y, text.text, font, 0 if text.is_upright else 90)


def _path(points: tuple[Point, ...], is_closed: bool = True) -> Path:
    if is_closed:
        return Path(np.array([*points, points[0]]), closed=True)
    return Path(np.array(points))


def _marker(markers: Markers) -> tuple[Path, Affine2D | IdentityTransform]:
    """The outline of a marker and the transform of its coordinates to pixels."""
    if markers.shape == "circle":
        return Path.unit_circle(), Affine2D().scale(markers.size / 2 * _SCALE)
    outline = _path(marker_outline(markers.shape, markers.size))
    return outline, Affine2D().scale(_SCALE, -_SCALE)


def _rgb(colour: str) -> tuple[float, float, float]:
    red, green, blue = bytes.fromhex(colour[1:])
    return red / 255, green / 255, blue / 255
