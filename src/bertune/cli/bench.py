"""`bertune bench`: how fast training and prediction are on the user's own data, beside the usual ways."""

from typing import Annotated, Any

import typer

from bertune.cli.arguments import AsJson, Settings, print_json


def bench(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="what `bertune train` takes")],
    settings: Settings = None,
    rounds: Annotated[int, typer.Option(min=1, help="how often each side runs")] = 3,
    seconds: Annotated[float, typer.Option(min=0.1, help="the least time of one measurement")] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Measure speed and memory on your data beside the Hugging Face Trainer and pipeline. Writes nothing.

    Every round runs each side in a process of its own, so it takes minutes. Needs the extra `bench`.
    """
    from bertune import api
    from bertune.cli.streams import refuse_closed_output
    from bertune.config import parse_overrides
    from bertune.console import show
    from bertune.nn.device import tune_allocator

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
                f"{phase}: the machine changed its speed in {len(numbers)} of {rounds} rounds; other work "
                "on it disturbs the figures",
            )


def tables(console: Any, found: dict[str, Any]) -> None:
    """Shows what `api.bench` found."""
    from bertune.console import show

    where, facts = found["machine"], found["settings"]
    show.echo(
        console,
        f"{facts['num_texts']:,} texts, at most {facts['max_length']} tokens, batches of "
        f"{facts['batch_size']}; {where['cpu']}, {where['threads']} threads, {facts['precision']}",
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
            f"\nA training step is at {floor['updated']['median']:.0%} of the physical floor: the least time "
            f"that its arithmetic ({floor['flops_per_step'] / 1e9:,.1f} GFLOP, "
            f"{floor['peaks']['square_flops'] / 1e9:,.0f} GFLOP/s measured) and the optimizer's memory "
            f"traffic can take here.",
        )


def _row(key: str, side: dict[str, Any], ratios: dict[str, Any]) -> tuple[str, ...]:
    """Title, texts/s, bertune's ratio with its interval, padding, memory."""
    if "error" in side:
        return (side["title"], "failed", side["error"], "", "")
    ratio = ratios.get(key)
    times = "" if ratio is None else f"{ratio['median']:.2f}x ({ratio['low']:.2f} to {ratio['high']:.2f})"
    waste = f"{side['padding_waste']:.1%}" if "padding_waste" in side else ""
    rate = f"{side['examples_per_second']['median']:,.1f}"
    return (side["title"], rate, times, waste, f"{side['process_peak_rss_mb']:,.0f}")
