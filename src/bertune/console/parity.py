"""Print how far an export differs from the trained model."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bertune.console.show import echo
from bertune.errors import counted


def parity_table(parity: Mapping[str, Any]) -> Table:
    """Scores, and speed and size if they were measured, of the trained model and the export."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for heading in ("trained model", "export"):
        table.add_column(heading, justify="right")
    for name, pair in parity["scores"].items():
        table.add_row(name, _number(pair["model"], ".4f"), _number(pair["export"], ".4f"))
    speed, size = parity.get("speed"), parity.get("size_mb")
    if speed:
        model, export = speed["model"], speed["export"]
        for key, label in (("milliseconds_per_row", "ms for one row"), ("rows_per_second", "rows/s")):
            table.add_row(label, _number(model[key], ",.1f"), _number(export[key], ",.1f"))
    if size:
        table.add_row("size in MB", _number(size["model"], ",.1f"), _number(size["export"], ",.1f"))
    return table


def show_parity(messages: Console, results: Console, parity: Mapping[str, Any]) -> None:
    """Print the table to `results`, and the differences of single rows to `messages`."""
    results.print(parity_table(parity))
    flips = counted(parity["flips"], "different prediction")
    echo(
        messages,
        f"{counted(parity['rows'], 'validation row')}: {flips}, largest difference of a predicted number "
        f"{parity['largest_difference']:.2g}",
    )


def _number(value: float | None, form: str) -> str:
    return "undefined" if value is None else format(value, form)
