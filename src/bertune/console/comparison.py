"""Tables of a comparison of runs."""

from rich import box
from rich.table import Table
from rich.text import Text

from bertune.comparing import ChangedExample, ComparedRun, Comparison
from bertune.console.show import number, with_interval
from bertune.errors import counted

_MOST_SHOWN = 5  # rows that changed; --out writes all
_MOST_CHARACTERS = 60  # per text


def comparison_table(run: ComparedRun) -> Table:
    """One row per score: both values, the difference with its interval, p values and verdict."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("score")
    for heading in ("first", "second", "difference [95%]", "p", "p (Holm)"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("second is")
    for one in run.scores:
        found = one.difference
        if one.first is None and one.second is None:
            continue
        cells = ["", "", ""]
        if found is not None and one.p_holm is not None:
            change = with_interval(found.value, (found.low, found.high))
            cells = [change, _p(found.p), _p(one.p_holm)]
        table.add_row(one.score, number(one.first), number(one.second), *cells, one.verdict)
    return table


def changed_table(run: ComparedRun) -> str:
    """How many rows changed, and the first of them."""
    kinds = {kind: sum(one.change == kind for one in run.changed) for kind in ("fixed", "broken")}
    counts = (
        f"{counted(len(run.changed), 'row')} changed: {kinds['fixed']:,} fixed, {kinds['broken']:,} broken"
    )
    return "\n  ".join([counts, *map(_line, run.changed[:_MOST_SHOWN])])


def _line(one: ChangedExample) -> str:
    text = Text(" | ".join(one.text)).plain.replace("\n", " ")
    short = text if len(text) <= _MOST_CHARACTERS else f"{text[:_MOST_CHARACTERS]}…"
    return f"{one.change}: {one.first!r} → {one.second!r} (gold {one.gold!r}): {short}"


def explanation(found: Comparison) -> str:
    """A sentence on what the p values compare."""
    if found.tests == "recipes":
        what = "whether the recipes differ: both the rows and the training seeds were resampled"
    else:
        what = (
            "whether these models differ. Two seeds of one recipe are also different models: to compare "
            "recipes, train each with train.seeds=5"
        )
    return f"p: paired bootstrap, {what}. Holm corrects for all scores and runs shown"


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
