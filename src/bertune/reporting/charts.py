"""Figures of a finished run: score by batch, token lengths, confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bertune.errors import counted, plural
from bertune.manifest import BatchRecord, DetailsRecord, SplitRecord
from bertune.reporting.canvas import BLUE, GREEN, INK, MUTED, ORANGE, Drawing, can_draw, draw, upright
from bertune.reporting.wording import count, decimal, plain, real, score_name

MOST_BARS = 110  # batches; beyond that, a histogram of their scores is drawn
MOST_NAMED = 30  # labels; beyond that, their names do not fit beside a matrix
MOST_COUNTED = 14  # labels; beyond that, cells have no room for their count
SPLIT_COLOURS = {"train": BLUE, "validation": ORANGE, "test": GREEN}


@dataclass(frozen=True)
class Batches:
    """The score of each batch of a split, and the score on the whole split."""

    score: str
    batch_size: int
    values: list[float | None]
    total: float | None
    noun: str = "text"
    num_batches: int | None = None  # set if the values are those of a sample of the batches

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

    def paint(figure: Figure, is_narrow: bool) -> None:
        axes = figure.subplots()
        upright(axes)
        if len(batches.values) > MOST_BARS:
            _spread(axes, batches, name)
        else:
            _bars(axes, batches, name)

    size = counted(batches.batch_size, f"{split} {batches.noun}")
    description = f"{name} of each batch of {size}; overall {decimal(batches.total)}"
    return draw("score_by_batch", description, paint, height=2.7)


def _bars(axes: Axes, batches: Batches, name: str) -> None:
    heights = [0.0 if value is None else value for value in batches.values]
    axes.bar(range(1, len(heights) + 1), heights, color=BLUE, alpha=0.75, width=0.72)
    axes.axhline(0, color=MUTED, linewidth=0.8)
    axes.set_xlim(0.4, len(heights) + 0.6)
    axes.set_xlabel(f"batch of {counted(batches.batch_size, batches.noun)}")
    axes.set_ylabel(name)
    axes.xaxis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    axes.margins(y=0.1)
    if batches.total is not None:
        axes.axhline(batches.total, color=ORANGE, linewidth=1.5)
        _outside(axes, f"overall {decimal(batches.total)}", 1.0, batches.total)


def _spread(axes: Axes, batches: Batches, name: str) -> None:
    axes.hist(batches.defined, bins=30, color=BLUE, alpha=0.75)
    axes.set_xlabel(f"{name} of a batch of {counted(batches.batch_size, batches.noun)}")
    axes.set_ylabel("batches")
    if batches.total is not None:
        axes.axvline(batches.total, color=ORANGE, linewidth=1.5)
        axes.annotate(
            f"overall {decimal(batches.total)}", (batches.total, 1), xycoords=("data", "axes fraction"),
            xytext=(0, 2), textcoords="offset points", ha="center", color=ORANGE,
        )  # fmt: skip


def _outside(axes: Axes, text: str, x: float, y: float) -> None:
    """Adds a note just outside the right edge, where no bar can cover it."""
    axes.annotate(
        text, (x, y), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
        ha="left", va="center", color=ORANGE,
    )  # fmt: skip


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

    def paint(figure: Figure, is_narrow: bool) -> None:
        axes = figure.subplots()
        upright(axes)
        for index, (name, (edges, shares)) in enumerate(shown.items()):
            colour = SPLIT_COLOURS.get(name, MUTED)
            axes.stairs(
                shares, edges, color=colour, fill=index == 0, alpha=0.35 if index == 0 else 1, label=name
            )
        axes.set_xlabel(f"tokens per {noun}" + ("" if is_narrow else ", including [CLS] and [SEP]"))
        axes.set_ylabel(f"share of {plural(noun)}")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g}%"))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))
        axes.set_xlim(0, right)
        axes.legend(loc="lower left", ncols=len(shown), bbox_to_anchor=(0, 1.0), borderaxespad=0.2)
        if max_length is not None:
            _limit(axes, max_length, right)

    return draw("token_lengths", f"Histogram of the number of tokens per {noun}", paint, height=2.7)


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


def _limit(axes: Axes, max_length: float, right: float) -> None:
    if max_length > 1.6 * right:
        axes.annotate(
            f"max_length {max_length:,.0f} is beyond this axis →", (1, 0.96), xycoords="axes fraction",
            ha="right", va="top", color=INK,
        )  # fmt: skip
        return
    axes.set_xlim(0, max(right, 1.03 * max_length))
    axes.axvline(max_length, color=INK, linewidth=1)
    axes.annotate(
        f"max_length {max_length:,.0f}", (max_length, 0.96), xycoords=("data", "axes fraction"),
        xytext=(-3, 0), textcoords="offset points", ha="right", va="top", color=INK,
    )  # fmt: skip


def confusion_matrix(
    labels: Sequence[str], counts: Sequence[Sequence[int]], split: str, noun: str = "text"
) -> Drawing:
    """A confusion matrix normalized by gold label; correct predictions in blue, wrong ones in orange."""
    names = tick_names(labels)
    side = min(8.0, 2.4 + 0.3 * len(labels))
    blue, orange = (0.16, 0.44, 0.8), (0.8, 0.38, 0.12)  # visible on white and on black
    shares = [[number / (sum(row) or 1) for number in row] for row in counts]
    pixels = [
        # Empty cells are transparent, so that the background of either colour scheme shows.
        [
            (*(blue if i == j else orange), 0.15 + 0.85 * share if share else 0.0)
            for j, share in enumerate(row)
        ]
        for i, row in enumerate(shares)
    ]

    def paint(figure: Figure, is_narrow: bool) -> None:
        axes = figure.subplots()
        axes.imshow(pixels, interpolation="nearest")
        axes.set_xlabel("predicted")
        axes.set_ylabel("gold")
        ticks = range(len(labels)) if names else range(0, len(labels), 10)
        texts = names or [str(i + 1) for i in ticks]
        axes.set_xticks(ticks, texts, rotation=90 if max(map(len, texts)) > 4 else 0)
        axes.set_yticks(ticks, texts)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_color(MUTED)
        if len(labels) <= MOST_COUNTED:
            _counts(axes, counts, shares)

    return draw(
        f"confusion_matrix_{split}",
        f"Confusion matrix on the {split} {plural(noun)}",
        paint,
        side,
        min(side, 4.6),
    )


def _counts(axes: Axes, counts: Sequence[Sequence[int]], shares: Sequence[Sequence[float]]) -> None:
    for i, row in enumerate(counts):
        for j, number in enumerate(row):
            colour = "white" if shares[i][j] > 0.45 else INK
            axes.annotate(count(number), (j, i), ha="center", va="center", color=colour)


def tick_names(labels: Sequence[str]) -> list[str]:
    """Label names as tick labels; numbers if a glyph is missing or names coincide; none for many labels."""
    if len(labels) > MOST_NAMED:
        return []
    names = [plain(label) for label in labels]
    if all(name and can_draw(name) for name in names) and len(set(names)) == len(names):
        return names
    return [str(i + 1) for i in range(len(labels))]
