"""Renders matplotlib figures as inline SVG and PNG, with shared colours and fonts."""

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from xml.etree import ElementTree

from markupsafe import Markup
from matplotlib import font_manager, style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# The light palette. In the page, each colour becomes a CSS variable that follows the reader's colour scheme.
INK, MUTED, GRID = "#1b2026", "#5b6570", "#dfe3e7"
BLUE, ORANGE, GREEN, VIOLET = "#1d5fb4", "#b8500f", "#1f7f6d", "#7551a8"
VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    GRID: "--line",
    BLUE: "--accent",
    ORANGE: "--warm",
    GREEN: "--third",
    VIOLET: "--fourth",
}
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
)
WIDE, NARROW = 8.6, 4.3  # inches; the page shows the version that fits, so that the text stays readable
Painter = Callable[[Figure, bool], None]


@dataclass(frozen=True)
class Drawing:
    """One figure: a wide and a narrow inline SVG, and a PNG file."""

    name: str
    wide: Markup
    narrow: Markup
    png: bytes


def draw(
    name: str, description: str, paint: Painter, height: float, narrow_height: float | None = None
) -> Drawing:
    """Calls `paint(figure, is_narrow)` once per width. Deterministic: the same input gives the same bytes.

    `height` and `narrow_height` are in inches; `description` is the alternative text.
    """
    with style.context(_style(name), after_reset=True):
        wide = Figure(figsize=(WIDE, height), layout="constrained")
        paint(wide, False)
        narrow = Figure(figsize=(NARROW, narrow_height or height), layout="constrained")
        paint(narrow, True)
        inlined = (_svg(wide, f"{name}-wide", description), _svg(narrow, f"{name}-narrow", description))
        wide.set_layout_engine("none")  # already laid out; repeating it would cost as much as drawing
        return Drawing(name, *inlined, png=_png(wide))


def can_draw(text: str) -> bool:
    """Whether the available fonts have a glyph for every character."""
    return all(ord(character) in _glyphs() for character in text)


def upright(axes: Axes) -> None:
    """Applies the common axes style: a baseline and horizontal grid lines only."""
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(MUTED)
    axes.grid(axis="y", color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)


def _style(salt: str) -> dict[str, object]:
    return {
        "font.family": list(_families()),
        "font.size": 8.5,
        "axes.titlesize": 9,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "text.color": INK,
        "axes.labelcolor": MUTED,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "legend.frameon": False,
        "legend.fontsize": 8,
        "text.parse_math": False,  # a user's label such as $\alpha$ is text, not a formula
        "axes.formatter.use_mathtext": False,
        "axes.unicode_minus": True,
        "svg.fonttype": "none",  # text stays text: searchable and in the page's font
        "svg.hashsalt": salt,
        "figure.facecolor": "white",
    }


@cache
def _families() -> tuple[str, ...]:
    installed = set(font_manager.get_font_names())
    # DejaVu Sans ships with matplotlib.
    return ("DejaVu Sans", *[name for name in CHINESE_FONTS if name in installed][:1])


@cache
def _glyphs() -> frozenset[int]:
    fonts = [font_manager.get_font(font_manager.findfont(family)) for family in _families()]
    return frozenset(code for font in fonts for code in font.get_charmap())


def _png(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=160, bbox_inches="tight", pad_inches=0.1)
    return file.getvalue()


def _svg(figure: Figure, prefix: str, description: str) -> Markup:
    """The SVG for inlining in HTML: prefixed ids, colours as CSS variables, no external references."""
    file = io.BytesIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())
    for element in root.iter():
        for child in [c for c in element if _local(c.tag) in ("metadata", "style")]:
            element.remove(child)
        attributes = {_local(key): _rewritten(_local(key), value, prefix) for key, value in element.items()}
        element.tag = _local(element.tag)
        element.attrib.clear()
        element.attrib.update(attributes)
    for unwanted in ("width", "height", "version"):
        root.attrib.pop(unwanted, None)
    root.attrib.update({"role": "img", "aria-label": description})
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _local(name: str) -> str:
    return name.rpartition("}")[2]


def _rewritten(key: str, value: str, prefix: str) -> str:
    if key == "id":
        return f"{prefix}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{prefix}-{value[1:]}"
    if key == "clip-path":
        return value.replace("url(#", f"url(#{prefix}-")
    if key == "style":
        return re.sub(r"#[0-9a-f]{6}", lambda hit: _variable(hit.group()), value)
    return value


def _variable(colour: str) -> str:
    return f"var({VARIABLES[colour]})" if colour in VARIABLES else colour
