"""`bertune bench`: compare training and prediction speed with the Hugging Face libraries on your data."""

from typing import Annotated, Any

import typer

from bertune.cli.arguments import AsJson, Settings, print_json


def bench(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="same as for `bertune train`")],
    settings: Settings = None,
    rounds: Annotated[int, typer.Option(min=1, help="number of measurements per contestant")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="minimum duration of a measurement")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Compare speed and memory with the Hugging Face Trainer and pipeline on your data. Writes nothing.

    Every measurement runs in a separate process, so this takes minutes. Requires the extra `bench`.
    """
    from bertune.cli.memory import refuse_small_address_space

    refuse_small_address_space()
    from bertune import api
    from bertune.allocator import tune_allocator
    from bertune.cli.streams import refuse_closed_output
    from bertune.console import show
    from bertune.settings import parse_overrides

    refuse_closed_output("the results")
    console = show.messages()
    tune_allocator()
    found = api.bench(
        source,
        settings=parse_overrides(settings or []),
        rounds=rounds,
        seconds=seconds,
        on_progress=lambda text: show.echo(console, text, "dim"),
    )
    if as_json:
        print_json(found)
        return
    tables(show.results(), found)
    for phase, numbers in found["flagged_rounds"].items():
        if numbers:
            show.warn(
                console,
                f"{phase}: the speed of the machine changed during {len(numbers)} of {rounds} rounds. Other "
                "processes distort the results",
            )


def tables(console: Any, found: dict[str, Any]) -> None:
    """Print the result of `api.bench`."""
    from bertune.console import show

    machine, facts = found["machine"], found["settings"]
    show.echo(
        console,
        f"{facts['num_texts']:,} texts, max_length {facts['max_length']}, batch size "
        f"{facts['batch_size']}; {machine['cpu']}, {machine['threads']} threads, {facts['precision']}",
    )
    for phase in ("training", "prediction"):
        section = found[phase]
        rows = [_row(key, side, section["ratios"]) for key, side in section["contestants"].items()]
        console.print()
        console.print(show.side_table(phase, rows))
    floor = found["floor"]
    if floor:
        show.echo(
            console,
            f"\nThe physical floor is {floor['updated']['median']:.0%} of the time of a training step: the "
            f"minimum time for its arithmetic ({floor['flops_per_step'] / 1e9:,.1f} GFLOP at a measured "
            f"{floor['peaks']['square_flops'] / 1e9:,.0f} GFLOP/s) and the memory traffic of the optimizer "
            f"on this machine.",
        )


def _row(key: str, side: dict[str, Any], ratios: dict[str, Any]) -> tuple[str, ...]:
    """The title, texts/s, the speedup of bertune with its interval, padding and memory of a contestant."""
    if "error" in side:
        return (side["title"], "failed", side["error"], "", "")
    ratio = ratios.get(key)
    times = "" if ratio is None else f"{ratio['median']:.2f}x ({ratio['low']:.2f} to {ratio['high']:.2f})"
    waste = f"{side['padding_waste']:.1%}" if "padding_waste" in side else ""
    rate = f"{side['examples_per_second']['median']:,.1f}"
    return (side["title"], rate, times, waste, f"{side['process_peak_rss_mb']:,.0f}")
