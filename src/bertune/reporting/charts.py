"""Figures of a finished run: score by batch, token lengths, confusion matrix."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from bertune.errors import counted, plural
from bertune.manifest.data import SplitRecord
from bertune.manifest.details import BatchRecord, DetailsRecord
from bertune.reporting.axes import SIZE, Frame, Key, Panel, arrange
from bertune.reporting.canvas import Drawing, is_narrow
from bertune.reporting.fonts import text_width
from bertune.reporting.matrix import matrix_scene
from bertune.reporting.palette import BLUE, GREEN, INK, MUTED, ORANGE
from bertune.reporting.scene import Scene, Shape
from bertune.reporting.ticks import extent, extent_from_zero, numeric_axis
from bertune.reporting.wording import count, decimal, plain, real, score_name

MOST_BARS = 110  # batches; beyond that, a histogram of their scores is drawn
SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}
_NUM_BINS = 30  # bins in the histogram of batch scores


@dataclass(frozen=True)
class Batches:
    """The score of each batch of a split, and the score on the whole split."""

    score: str
    batch_size: int
    values: list[float | None]
    total: float | None
    noun: str = "text"
    num_batches: int | None = None  # set if the values are from a sample of the batches

    @property
    def defined(self) -> list[float]:
        """The defined values in ascending order."""
        return sorted(value for value in self.values if value is not None)


def read_batches(details: DetailsRecord, noun: str) -> Batches | None:
    """The recorded scores by batch; None if fewer than two batches have a defined score."""
    recorded = details.by_batch or BatchRecord()
    values = [real(value) for value in recorded.values or []]
    batches = Batches(
        recorded.score or "",
        recorded.batch_size or 0,
        values,
        real(recorded.total),
        noun,
        recorded.num_batches,
    )
    return batches if len(batches.defined) > 1 else None


def score_by_batch(batches: Batches, split: str) -> Drawing:
    """One bar per batch and a line for the overall score; a histogram if there are more than `MOST_BARS`."""
    name = score_name(batches.score)

    def paint(width: float, height: float) -> Scene:
        draw = _spread if len(batches.values) > MOST_BARS else _bars
        return Scene(width, height, tuple(draw(batches, name, width, height)))

    size = counted(batches.batch_size, f"{split} {batches.noun}")
    description = f"{name} of each batch of {size}; overall {decimal(batches.total)}"
    return Drawing("score_by_batch", description, paint, height=2.7)


def _bars(batches: Batches, name: str, width: float, height: float) -> Iterator[Shape]:
    heights = [0.0 if value is None else value for value in batches.values]
    note = "" if batches.total is None else f"overall {decimal(batches.total)}"
    title = f"batch of {counted(batches.batch_size, batches.noun)}"
    x = numeric_axis((0.4, len(heights) + 0.6), 8 if is_narrow(width) else 12, title, are_whole=True)
    y = numeric_axis(extent_from_zero([*heights, batches.total or 0.0], 0.1), 7, name)
    (frame,), shapes = arrange(width, height, [Panel(x, y)], right=text_width(note, SIZE) + 4 if note else 0)
    yield from shapes
    yield frame.bars(((n - 0.36, n + 0.36, value) for n, value in enumerate(heights, 1)), BLUE)
    yield frame.level(0, MUTED, 0.8)
    if batches.total is not None:
        yield frame.level(batches.total, ORANGE, 1.5)
        # Outside the axes, where no bar can cover it.
        yield frame.note(note, frame.right + 4, frame.y(batches.total) + 0.36 * SIZE, ORANGE)


def _spread(batches: Batches, name: str, width: float, height: float) -> Iterator[Shape]:
    low, high = extent(batches.defined, 0)
    size = (high - low) / _NUM_BINS
    numbers = [0] * _NUM_BINS
    for value in batches.defined:
        numbers[min(int((value - low) / size), _NUM_BINS - 1)] += 1
    title = f"{name} of a batch of {counted(batches.batch_size, batches.noun)}"
    x = numeric_axis(extent(batches.defined), 5 if is_narrow(width) else 9, title)
    y = numeric_axis(extent_from_zero(numbers), 7, "batches", count, are_whole=True)
    (frame,), shapes = arrange(width, height, [Panel(x, y, headroom=12)])
    yield from shapes
    yield frame.bars(((low + i * size, low + (i + 1) * size, n) for i, n in enumerate(numbers)), BLUE)
    if batches.total is not None:
        yield frame.upright(batches.total, ORANGE, 1.5)
        note = f"overall {decimal(batches.total)}"
        yield frame.note(note, frame.x(batches.total), frame.top - 3, ORANGE, "middle")


def token_lengths(
    splits: dict[str, SplitRecord], max_length: float | None, noun: str = "text"
) -> Drawing | None:
    """Histogram of the number of tokens, one outline per split, with a line at `max_length`.

    None if no lengths were recorded.
    """
    shown = {name: h for name, split in splits.items() if (h := _histogram(split.histogram))}
    if not shown:
        return None
    right = _right_edge(splits, shown)
    is_beyond = max_length is not None and max_length > 1.6 * right
    end = right if max_length is None or is_beyond else max(right, 1.03 * max_length)
    top = max(share for _, shares in shown.values() for share in shares)

    def paint(width: float, height: float) -> Scene:
        title = f"tokens per {noun}" + ("" if is_narrow(width) else ", including [CLS] and [SEP]")
        x = numeric_axis((0, end), 5 if is_narrow(width) else 9, title, count, are_whole=True)
        y = numeric_axis(extent_from_zero([top]), 7, f"share of {plural(noun)}", lambda v: f"{100 * v:g}%")
        (frame,), shapes = arrange(width, height, [Panel(x, y, keys=tuple(_keys(shown)))])
        shapes += _outlines(frame, shown)
        if max_length is not None:
            shapes += _limit(frame, max_length, is_beyond)
        return Scene(width, height, tuple(shapes))

    return Drawing("token_lengths", f"Histogram of the number of tokens per {noun}", paint, height=2.7)


def _keys(splits: Iterable[str]) -> Iterator[Key]:
    for index, name in enumerate(splits):
        colour = SPLIT_COLOURS.get(name, MUTED)
        yield Key(plain(name), colour, is_box=index == 0, opacity=0.35 if index == 0 else 1.0)


def _outlines(frame: Frame, shown: dict[str, tuple[list[float], list[float]]]) -> Iterator[Shape]:
    """The histogram of each split, the first filled."""
    for index, (name, (edges, shares)) in enumerate(shown.items()):
        colour = SPLIT_COLOURS.get(name, MUTED)
        if index == 0:
            yield frame.bars(zip(edges, edges[1:], shares, strict=False), colour, 0.35)
        else:
            yield frame.outline(edges, shares, colour)


def _histogram(recorded: dict[str, list[float]] | None) -> tuple[list[float], list[float]] | None:
    """Bin edges and the share of texts in each bin; None if nothing was counted."""
    counts, edges = ((recorded or {}).get(key, []) for key in ("counts", "edges"))
    total = sum(counts)
    if not total or len(edges) != len(counts) + 1:
        return None
    return edges, [number / total for number in counts]


def _right_edge(splits: dict[str, SplitRecord], shown: dict[str, tuple[list[float], list[float]]]) -> float:
    """The end of the axis, limited so that a few extremely long texts do not flatten the rest."""
    furthest = max(edges[-1] for edges, _ in shown.values())
    p99s = [real((splits[name].tokens or {}).get("p99")) for name in shown]
    known = [p99 for p99 in p99s if p99 is not None]
    return min(furthest, 2 * max(known) + 1) if known else furthest


def _limit(frame: Frame, max_length: float, is_beyond: bool) -> Iterator[Shape]:
    text, baseline = f"max_length {max_length:,.0f}", frame.top + 0.04 * frame.height + 0.8 * SIZE
    if is_beyond:
        yield frame.note(f"{text} is beyond this axis →", frame.right, baseline, INK, "end")
        return
    yield frame.upright(max_length, INK)
    yield frame.note(text, frame.x(max_length) - 3, baseline, INK, "end")


def confusion_matrix(
    labels: Sequence[str], counts: Sequence[Sequence[int]], split: str, noun: str = "text"
) -> Drawing:
    """A confusion matrix normalized by gold label; correct predictions in blue, wrong ones in orange."""
    side = min(8.0, 2.4 + 0.3 * len(labels))  # inches
    description = f"Confusion matrix on the {split} {plural(noun)}"
    return Drawing(
        f"confusion_matrix_{split}",
        description,
        lambda width, height: matrix_scene(labels, counts, min(width, height)),
        side,
        min(side, 4.6),
    )
