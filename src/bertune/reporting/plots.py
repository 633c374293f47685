"""Draws the figures recorded with scores, by kind: scatter, histogram, curve, calibration."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from bertune.errors import counted
from bertune.files import JsonObject
from bertune.manifest import DetailsRecord
from bertune.reporting.canvas import BLUE, GREEN, INK, MUTED, ORANGE, VIOLET, Drawing, draw, upright
from bertune.reporting.wording import count, decimal, plain, real, visible

COLOURS = (BLUE, GREEN, VIOLET, MUTED)


@dataclass(frozen=True)
class Plot:
    """A figure with its heading and caption."""

    title: str
    drawing: Drawing
    caption: str


def plots(details: DetailsRecord, split: str) -> list[Plot]:
    """Draws the recorded figures; empty ones and unknown kinds are skipped."""
    drawn: list[Plot] = []
    used: set[str] = set()
    for figure in details.figures or []:
        recorded = figure.model_dump(exclude_unset=True)
        kind = KINDS.get(str(recorded.get("kind")))
        if kind is None or not kind.has_content(recorded):
            continue
        title = visible(recorded.get("title") or recorded["kind"])
        stem = re.sub(r"[^a-z0-9]+", "_", title.lower()).strip("_") or str(recorded["kind"])
        name = next(n for n in (stem, *(f"{stem}_{i}" for i in range(2, 99))) if n not in used)
        used.add(name)
        caption = kind.caption(recorded)
        drawing = draw(f"{name}_{split}", f"{title}. {caption}", _painter(kind, recorded), kind.height)
        drawn.append(Plot(title, drawing, caption))
    return drawn


@dataclass(frozen=True)
class Kind:
    """How to draw one kind of figure."""

    has_content: Callable[[JsonObject], bool]
    paint: Callable[[Figure, JsonObject], None]
    caption: Callable[[JsonObject], str]
    height: float


def _painter(kind: Kind, recorded: JsonObject) -> Callable[[Figure, bool], None]:
    return lambda figure, is_narrow: kind.paint(figure, recorded)


def _named(axes: Axes, recorded: JsonObject) -> None:
    upright(axes)
    names: list[Any] = [*(recorded.get("axes") or []), "", ""]
    x, y = names[:2]
    axes.set_xlabel(plain(x, 60))
    axes.set_ylabel(plain(y, 40))


def _points(recorded: JsonObject) -> list[tuple[float, float]]:
    pairs = zip(recorded.get("x") or [], recorded.get("y") or [], strict=False)
    finite = [(real(x), real(y)) for x, y in pairs]
    return [(x, y) for x, y in finite if x is not None and y is not None]


def _scatter(figure: Figure, recorded: JsonObject) -> None:
    axes = figure.subplots()
    _named(axes, recorded)
    points = _points(recorded)
    axes.plot(*zip(*points, strict=True), "o", color=BLUE, alpha=0.35, markersize=3.2, markeredgewidth=0)
    if recorded.get("is_diagonal"):
        ends = [bound(x for x, _ in points) for bound in (min, max)]
        axes.plot(ends, ends, color=ORANGE, linewidth=1.2)


def _scatter_caption(recorded: JsonObject) -> str:
    drawn = len(_points(recorded))
    total = recorded.get("num") or drawn
    points = f"{count(drawn)} of {counted(total, 'point')}" if drawn < total else counted(total, "point")
    return f"{points}." + (" On the line, both values are equal." if recorded.get("is_diagonal") else "")


def _histogram(figure: Figure, recorded: JsonObject) -> None:
    axes = figure.subplots()
    _named(axes, recorded)
    axes.stairs(recorded["counts"], recorded["edges"], fill=True, color=BLUE, alpha=0.75)
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def _has_counts(recorded: JsonObject) -> bool:
    counts, edges = recorded.get("counts") or [], recorded.get("edges") or []
    return sum(counts) > 0 and len(edges) == len(counts) + 1


def _curve(figure: Figure, recorded: JsonObject) -> None:
    axes = figure.subplots()
    _named(axes, recorded)
    series = {name: points for name, values in recorded["series"].items() if (points := _points(values))}
    for (name, points), colour in zip(series.items(), COLOURS, strict=False):
        axes.plot(*zip(*points, strict=True), color=colour, linewidth=1.5, label=plain(name))
    if len(series) > 1:
        axes.legend(loc="lower left", ncols=len(series), bbox_to_anchor=(0, 1.08), borderaxespad=0)
    for level, (name, place) in enumerate(_marks(recorded).items()):
        axes.axvline(place, color=(INK, ORANGE)[level % 2], linewidth=1)
        axes.annotate(
            plain(name), (place, 1), xycoords=("data", "axes fraction"), xytext=(3, 3 - 11 * level),
            textcoords="offset points", ha="left", color=(INK, ORANGE)[level % 2],
        )  # fmt: skip


def _marks(recorded: JsonObject) -> dict[str, float]:
    marks = {name: real(place) for name, place in (recorded.get("marks") or {}).items()}
    return {name: place for name, place in marks.items() if place is not None}


def _curve_caption(recorded: JsonObject) -> str:
    marks = [f"{visible(name)}: {decimal(place)}" for name, place in _marks(recorded).items()]
    return f"{visible((recorded.get('axes') or [''])[0])} {', '.join(marks)}." if marks else ""


def _calibration(figure: Figure, recorded: JsonObject) -> None:
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[2.4, 0.8])
    _named(above, recorded)
    points = [(b["confidence"], b["right"]) for b in recorded["bins"]]
    above.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
    above.plot(*zip(*points, strict=True), color=BLUE, marker="o", markersize=4, linewidth=1.2)
    above.set_ylim(-0.03, 1.03)
    above.set_xlabel("")
    unit = recorded.get("unit")
    _named(below, {"axes": [recorded["axes"][0], f"number of {unit}" if unit else "count"]})
    for one in recorded["bins"]:
        below.bar(one["confidence"], one["count"], width=0.05, color=BLUE, alpha=0.75)
    below.set_xlim(-0.03, 1.03)
    below.yaxis.set_major_locator(MaxNLocator(2, integer=True))
    below.yaxis.set_major_formatter(FuncFormatter(lambda value, _: count(value)))


def _calibration_caption(recorded: JsonObject) -> str:
    return (
        "Below the dashed line the model is overconfident, above it underconfident. Expected calibration "
        f"error: {decimal(recorded.get('error'))}."
    )


def _has_series(recorded: JsonObject) -> bool:
    return any(_points(values) for values in (recorded.get("series") or {}).values())


def _no_caption(recorded: Any) -> str:
    return ""


KINDS = {
    "scatter": Kind(lambda recorded: bool(_points(recorded)), _scatter, _scatter_caption, 3.4),
    "histogram": Kind(_has_counts, _histogram, _no_caption, 2.5),
    "curve": Kind(_has_series, _curve, _curve_caption, 2.9),
    "calibration": Kind(lambda recorded: bool(recorded.get("bins")), _calibration, _calibration_caption, 3.6),
}
