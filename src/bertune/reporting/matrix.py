"""The figure of a confusion matrix."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from bertune.reporting.axes import LINE_HEIGHT, SIZE
from bertune.reporting.fonts import can_draw, text_width
from bertune.reporting.palette import BLUE, INK, MUTED, ORANGE, WHITE
from bertune.reporting.scene import Boxes, Line, Scene, Shape, Text
from bertune.reporting.wording import count, plain

MOST_NAMED = 30  # labels; beyond that, their names do not fit next to a matrix
MOST_COUNTED = 14  # labels; beyond that, cells have no room for their count
_NUM_SHADES = 20  # more cannot be distinguished
_FAINTEST = 0.15  # opacity of a cell that holds a single text
_GAP, _EDGE = 4.0, 6.0  # points


def matrix_scene(labels: Sequence[str], counts: Sequence[Sequence[int]], side: float) -> Scene:
    """The matrix, about `side` points wide and high: gold labels in rows, predicted labels in columns."""
    names = tick_names(labels)
    places = range(len(labels)) if names else range(0, len(labels), 10)
    texts = names or [str(place + 1) for place in places]
    widest = max(text_width(text, SIZE) for text in texts)
    is_upright = max(map(len, texts)) <= 4
    left = _EDGE + SIZE * LINE_HEIGHT + _GAP + widest + _GAP
    below = _GAP + (SIZE * LINE_HEIGHT if is_upright else widest) + _GAP + SIZE * LINE_HEIGHT + _EDGE / 2
    square = side - max(left, below) - 2 * _EDGE
    size = square / len(labels)
    right, bottom = left + square, _EDGE + square

    def shapes() -> Iterator[Shape]:
        shares = [[number / (sum(row) or 1) for number in row] for row in counts]
        yield from _shades(shares, left, _EDGE, size)
        if len(labels) <= MOST_COUNTED:
            yield from _counts(counts, shares, left, _EDGE, size)
        corners = ((left, _EDGE), (right, _EDGE), (right, bottom), (left, bottom), (left, _EDGE))
        yield Line(corners, MUTED, 0.8)
        for place, text in zip(places, texts, strict=True):
            middle = (place + 0.5) * size
            yield Text(text, (left - _GAP, _EDGE + middle + 0.36 * SIZE), MUTED, SIZE, "end")
            if is_upright:
                yield Text(text, (left + middle, bottom + _GAP + 0.8 * SIZE), MUTED, SIZE, "middle")
            else:
                point = left + middle + 0.36 * SIZE, bottom + _GAP
                yield Text(text, point, MUTED, SIZE, "end", is_upright=False)
        yield Text("predicted", ((left + right) / 2, bottom + below - _EDGE), MUTED, SIZE, "middle")
        beside = _EDGE + 0.8 * SIZE, (_EDGE + bottom) / 2
        yield Text("gold", beside, MUTED, SIZE, "middle", is_upright=False)

    return Scene(right + _EDGE, bottom + below, tuple(shapes()))


def tick_names(labels: Sequence[str]) -> list[str]:
    """Label names as tick labels; numbers if a glyph is missing or names coincide; none for many labels."""
    if len(labels) > MOST_NAMED:
        return []
    names = [plain(label) for label in labels]
    if all(name and can_draw(name) for name in names) and len(set(names)) == len(names):
        return names
    return [str(i + 1) for i in range(len(labels))]


def _shades(shares: Sequence[Sequence[float]], left: float, top: float, size: float) -> Iterator[Shape]:
    """The cells that are not empty; through the others, the background of either colour scheme shows."""
    cells: dict[tuple[bool, int], list[tuple[float, float, float, float]]] = defaultdict(list)
    for i, row in enumerate(shares):
        for j, share in enumerate(row):
            if share:
                cells[i == j, round(share * _NUM_SHADES)].append(
                    (left + j * size, top + i * size, size, size)
                )
    for (is_right, shade), boxes in sorted(cells.items()):
        opacity = _FAINTEST + (1 - _FAINTEST) * shade / _NUM_SHADES
        yield Boxes(tuple(boxes), BLUE if is_right else ORANGE, round(opacity, 4))


def _counts(
    counts: Sequence[Sequence[int]], shares: Sequence[Sequence[float]], left: float, top: float, size: float
) -> Iterator[Shape]:
    for i, row in enumerate(counts):
        for j, number in enumerate(row):
            colour = WHITE if shares[i][j] > 0.45 else INK
            place = left + (j + 0.5) * size, top + (i + 0.5) * size + 0.36 * SIZE
            yield Text(count(number), place, colour, SIZE, "middle")
