"""Print how far an export differs from the trained model."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from bertune.console.show import echo
from bertune.errors import counted, listed

_MOST_PARTS = 6  # parts of the network in fp32 that are listed


def parity_table(parity: Mapping[str, Any]) -> Table:
    """Scores, and speed and size if they were measured, of the trained model and the export."""
    table = Table(box=box.SIMPLE, show_edge=False, pad_edge=False, header_style="bold")
    table.add_column("", overflow="fold")
    for heading in ("trained model", "export"):
        table.add_column(heading, justify="right", no_wrap=True)
    for name, pair in parity["scores"].items():
        if pair["model"] is not None or pair["export"] is not None:  # some do not apply to every data set
            table.add_row(name, _number(pair["model"], ".4f"), _number(pair["export"], ".4f"))
    speed, size = parity.get("speed"), parity.get("size_mb")
    if speed:
        model, export = speed["model"], speed["export"]
        for key, label in (("milliseconds_per_row", "ms for one row"), ("rows_per_second", "rows/s")):
            table.add_row(label, _number(model[key], ",.1f"), _number(export[key], ",.1f"))
        # Not "precision", which is also a score.
        table.add_row("machine.precision", model["precision"], export["precision"])
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
    kept = parity.get("parts_in_fp32", [])
    if kept:
        echo(messages, f"{counted(len(kept), 'module')} in fp32: {listed(kept, _MOST_PARTS)}")


def _number(value: float | None, form: str) -> str:
    return "undefined" if value is None else format(value, form)
