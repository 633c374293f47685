"""Figures: ticks, layout, fonts, and the pixels of the PNG files."""

import io
import math
import unicodedata
from itertools import pairwise

import fake_runs
import numpy as np
import pytest
import task_runs
from matplotlib import font_manager
from matplotlib.textpath import TextPath
from PIL import Image

from bertune.reporting.axes import SIZE, Frame, Panel, arrange
from bertune.reporting.canvas import NARROW, POINTS, WIDE
from bertune.reporting.fonts import _COVERED, can_draw, text_width
from bertune.reporting.page import render
from bertune.reporting.palette import BLUE, INK, ORANGE
from bertune.reporting.png import DPI, png
from bertune.reporting.scene import Area, Boxes, Line, Markers, Scene, Text
from bertune.reporting.svg import svg
from bertune.reporting.ticks import Axis, extent, extent_from_zero, numeric_axis

DEJAVU = font_manager.get_font(font_manager.findfont("DejaVu Sans"))


@pytest.mark.parametrize(
    ("bounds", "most", "labels"),
    [
        ((0, 1), 5, ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]),
        ((-0.03, 1.03), 5, ["0.00", "0.25", "0.50", "0.75", "1.00"]),
        ((-1, 1), 4, ["−1.0", "−0.5", "0.0", "0.5", "1.0"]),
        ((0, 0.31), 3, ["0.0", "0.2"]),
        ((0, 90_000), 3, ["0", "50,000"]),
        ((0, 3e-5), 3, ["0", "1e-05", "2e-05", "3e-05"]),
        ((0, 4e9), 4, ["0", "1e+09", "2e+09", "3e+09", "4e+09"]),
    ],
)
def test_ticks_are_round_numbers_with_the_decimals_they_need(bounds, most, labels):
    assert [label for _, label in numeric_axis(bounds, most).ticks] == labels


def test_ticks_of_counts_are_whole():
    assert [value for value, _ in numeric_axis((0, 2.2), 9, are_whole=True).ticks] == [0, 1, 2]
    steps = {b - a for a, b in pairwise(v for v, _ in numeric_axis((0, 19), 8, are_whole=True).ticks)}
    assert steps == {5.0}, "not 2.5"


@pytest.mark.parametrize("bounds", [(0.5, 0.5), (0, 0), (-1e308, 1e308), (5e-324, 1e-320), (1e300, 1e300)])
def test_any_finite_range_has_an_axis(bounds):
    axis = numeric_axis(bounds, 5)
    assert axis.low < axis.high
    assert 1 <= len(axis.ticks) <= 7
    assert all(math.isfinite(value) for value, _ in axis.ticks)


def test_the_range_of_bars_includes_zero_and_that_of_points_does_not():
    assert extent_from_zero([2.0, 4.0], 0.1) == pytest.approx((0, 4.4))
    assert extent_from_zero([-1.0, 1.0], 0.1) == pytest.approx((-1.2, 1.2))
    assert extent_from_zero([]) == extent_from_zero([0, math.nan])
    assert extent([2.0, 4.0], 0.1) == pytest.approx((1.8, 4.2))
    assert extent([math.nan, math.inf, 2.0, 4.0], 0) == (2.0, 4.0)


@pytest.fixture
def frame() -> Frame:
    """100 by 100 points, with axes from 0 to 10."""
    return Frame(20, 30, 100, 100, Panel(Axis(0, 10), Axis(0, 10)))


def test_a_line_is_interrupted_where_a_value_is_not_finite(frame):
    pairs = [(0, 0), (1, 1), (2, math.nan), (3, 3), (4, 4), (5, 5), (6, math.inf), (7, 7)]
    drawn = list(frame.line(pairs, Line((), BLUE)))
    assert [line.points for line in drawn] == [((20, 130), (30, 120)), ((50, 100), (60, 90), (70, 80))]


def test_values_beyond_an_axis_stay_within_the_panel(frame):
    assert frame.points([(-5, 20), (15, -3)]) == ((20, 30), (120, 130))
    assert frame.bars([(-5, 5, 20), (math.nan, 1, 1)], BLUE).boxes == ((20, 30, 50, 100),)


def test_the_outline_of_a_histogram_omits_empty_bins_at_its_ends(frame):
    outline = frame.outline([0, 1, 2, 3, 4, 5], [0, 2, 0, 1, 0], ORANGE)
    assert outline.points[0] == (30, 130) and outline.points[-1] == (60, 130)


def test_panels_share_the_height_and_the_left_edge():
    above, below = (
        Panel(Axis(0, 1), Axis(0, 1, ((0.0, label),)), share) for label, share in (("0", 3), ("0.000", 1))
    )
    (first, second), shapes = arrange(400, 300, [above, below])
    assert (first.left, first.width) == (second.left, second.width)
    assert first.height == pytest.approx(3 * second.height)
    assert first.bottom < second.top
    assert [shape.text for shape in shapes if isinstance(shape, Text)] == ["0", "0.000"]


@pytest.mark.parametrize("name", [make.__name__ for make in (*fake_runs.EVERY_RUN, *task_runs.EVERY_RUN)])
def test_nothing_is_outside_a_figure(name, report):
    for drawing in render(report(name).run).drawings:
        heights = (drawing.height, drawing.narrow_height or drawing.height)
        for width, height in zip((WIDE, NARROW), heights, strict=True):
            scene = drawing.paint(width * POINTS, height * POINTS)
            for shape in scene.shapes:
                for x, y in corners(shape):
                    assert -1 <= x <= scene.width + 1 and -1 <= y <= scene.height + 1, (drawing.name, shape)


def corners(shape):
    """Points between which everything of a shape is."""
    if isinstance(shape, Boxes):
        return [(x + dx, y + dy) for x, y, w, h in shape.boxes for dx, dy in ((0, 0), (w, h))]
    if not isinstance(shape, Text):
        return shape.points
    (x, y), width = shape.point, text_width(shape.text, shape.size)
    before = {"start": 0, "middle": width / 2, "end": width}[shape.anchor]
    if shape.is_upright:
        return [(x - before, y - 0.75 * shape.size), (x - before + width, y)]
    return [(x - 0.75 * shape.size, y + before), (x, y + before - width)]


def pixel(image: Image.Image, x: float, y: float) -> str:
    """The colour at a point."""
    red, green, blue = image.getpixel((int(x * DPI / 72), int(y * DPI / 72)))
    return f"#{red:02x}{green:02x}{blue:02x}"


def test_shapes_are_at_their_places_in_a_png_file():
    shapes = (
        Boxes(((10, 20, 30, 10),), BLUE),
        Area(((60, 60), (80, 60), (80, 80), (60, 80)), ORANGE),
        Line(((0, 95), (100, 95)), INK, 4.0),
        Markers(((80, 20),), "circle", 10, ORANGE),
        Markers(((20, 70),), "triangle", 20, BLUE),
        Boxes(((90, 40, 5, 5),), INK, 0.5),
    )
    image = Image.open(io.BytesIO(png(Scene(100, 100, shapes))))
    expected = {
        (25, 25): BLUE, (25, 15): "#ffffff", (70, 70): ORANGE, (50, 95): INK, (50, 90): "#ffffff",
        (80, 20): ORANGE, (84.5, 24.5): "#ffffff", (20, 76): BLUE, (12, 63): "#ffffff", (92, 42): "#8c8f92",
    }  # fmt: skip
    assert {place: pixel(image, *place) for place in expected} == expected


@pytest.mark.parametrize("is_upright", [True, False])
@pytest.mark.parametrize("anchor", ["start", "middle", "end"])
def test_a_text_begins_or_ends_at_its_point(anchor, is_upright):
    text = Text("Hxxxxxx", (100, 100), INK, 12, anchor, is_upright)
    image = Image.open(io.BytesIO(png(Scene(200, 200, (text,))))).convert("L")
    rows, columns = np.nonzero(np.asarray(image) < 128)
    along, across = (columns, rows) if is_upright else (-rows, columns)
    point = 100 * DPI / 72
    middle, length = (along.min() + along.max()) / 2, along.max() - along.min()
    offset = {"start": 0.5, "middle": 0.0, "end": -0.5}[anchor] * length
    assert middle == pytest.approx((point if is_upright else -point) + offset, abs=5)
    assert across.max() == pytest.approx(point, abs=2), "the baseline"


def test_a_narrow_figure_does_not_fill_the_page():
    assert 'style="max-width: 50.0%"' in svg(Scene(50, 50, ()), "a", 100)
    assert "max-width" not in svg(Scene(100, 50, ()), "a", 100)


def test_texts_in_an_svg_are_escaped():
    found = svg(Scene(9, 9, (Text("</svg><b>", (1, 2), INK, SIZE),)), 'a "b"', 9)
    assert "&lt;/svg&gt;&lt;b&gt;" in found and 'aria-label="a &quot;b&quot;"' in found


def test_the_width_of_a_text_is_estimated():
    for text in ("validation score", "0.125", "WWWW iiii", "learning rate", "Größe, вес"):
        exact = TextPath((0, 0), text, size=10, prop={"family": "DejaVu Sans"}).get_extents().width
        assert text_width(text, 10) == pytest.approx(exact, rel=0.12), text
    assert text_width("财经", 10) == 20


def test_the_font_has_the_characters_that_are_assumed_to_be_covered():
    available = DEJAVU.get_charmap()
    codes = [code for low, high in _COVERED for code in range(low, high + 1)]
    assert not [hex(c) for c in codes if c not in available and unicodedata.category(chr(c)) != "Cn"]
    assert can_draw("Größe – Ωμέγα, вес…") and not can_draw("\U0001f916")
