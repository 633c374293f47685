"""Tables of a comparison of runs."""

from rich import box
from rich.table import Table
from rich.text import Text

from bertune.comparing import ChangedExample, ComparedRun, Comparison
from bertune.console.show import number, with_interval
from bertune.errors import counted

_MOST_SHOWN = 5  # rows that changed; --out writes all
_MOST_CHARACTERS = 60  # per text
_SMALLEST = 0.001  # smaller p values are shown as < 0.001


def conclusion(run: ComparedRun, primary: str) -> str:
    """The result of the test of the primary score, as one line."""
    one = next((one for one in run.scores if one.score == primary), None)
    if one is None or one.difference is None or one.p_adjusted is None:
        return f"{primary}: cannot be compared"
    p = f"p {'' if one.p_adjusted < _SMALLEST else '= '}{_p(one.p_adjusted)}"
    if one.verdict == "no difference":
        return f"{primary}: no significant difference ({p})"
    return f"{primary}: the second run is {one.verdict} ({p})"


def comparison_table(run: ComparedRun, primary: str) -> Table:
    """One row per score, the primary one first: both values, difference, p values and verdict."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("score")
    for heading in ("first", "second", "difference [95%]", "p", "p (adjusted)"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("second is")
    for one in sorted(run.scores, key=lambda one: one.score != primary):
        found = one.difference
        if one.first is None and one.second is None:
            continue
        cells = ["", "", ""]
        if found is not None and one.p_adjusted is not None:
            change = with_interval(found.value, (found.low, found.high))
            cells = [change, _p(found.p), _p(one.p_adjusted)]
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
    return (
        f"p: paired bootstrap, {what}. {found.primary} is tested first, and the other scores can only be "
        "significant if it is. Adjusted p values are corrected by Holm's method. Set --score to test another "
        "score first"
    )


def _p(value: float) -> str:
    return f"< {_SMALLEST}" if value < _SMALLEST else f"{value:.3f}"
