"""The fonts of PNG figures: which characters they can show, and how much room a text takes."""

import unicodedata
from functools import cache
from typing import Any

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
# Ranges that DejaVu Sans covers without gaps, so that matplotlib, which is slow to import, is not needed.
_COVERED = ((0x20, 0x7E), (0xA0, 0x2E9), (0x370, 0x37E), (0x380, 0x525), (0x2010, 0x2027))
# Advance widths of DejaVu Sans, in parts of the font size; the fonts of most pages are narrower.
_WIDTHS = {
    character: width
    for width, characters in (
        (0.29, "'ijlI"),
        (0.33, " ,./:;\\|J"),
        (0.38, "-f()[]t!r"),
        (0.50, '"*_`sz'),
        (0.56, "?cLFkvxyP"),
        (0.84, "#+<=>^~wOQDG&"),
        (0.97, "%mM@W"),
    )
    for character in characters
}
_USUAL_WIDTH = 0.66  # of all other characters, relative to the font size


def text_width(text: str, size: float) -> float:
    """The approximate width of a text, in the unit of `size`."""
    return size * sum(_width(character) for character in text)


def can_draw(text: str) -> bool:
    """Whether the available fonts have a glyph for every character."""
    return all(_is_covered(ord(character)) or ord(character) in _glyphs() for character in text)


@cache
def families() -> tuple[str, ...]:
    """The fonts to use, in order: DejaVu Sans, which ships with matplotlib, and an installed Chinese font."""
    installed = set(_manager().get_font_names())
    return ("DejaVu Sans", *[name for name in CHINESE_FONTS if name in installed][:1])


@cache
def _glyphs() -> frozenset[int]:
    manager = _manager()
    fonts = [manager.get_font(manager.findfont(family)) for family in families()]
    return frozenset(code for font in fonts for code in font.get_charmap())


def _manager() -> Any:
    from matplotlib import font_manager

    return font_manager


def _is_covered(code: int) -> bool:
    return any(first <= code <= last for first, last in _COVERED)


def _width(character: str) -> float:
    if unicodedata.east_asian_width(character) in "WF":
        return 1.0
    return 0.0 if unicodedata.combining(character) else _WIDTHS.get(character, _USUAL_WIDTH)
