"""Renders docs/benchmarks.md from the stored results."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Result = dict[str, Any]

UNITS = {"examples_per_second": "texts/s", "wall_seconds": "s", "peak_rss_mb": "MB"}
INTRODUCTION = """\
# Benchmarks

`make bench` generates this page from the files in `benchmarks/results/speed`, which contain the raw
measurements of every round.

All contestants of a benchmark use the same texts, weights, tokenizer, batch size, maximum length, learning
rate (5e-5), warmup (10%), weight decay (0.01) and dropout, and each runs in a separate process. Every round
runs each contestant once; the order rotates from round to round. Ratios are computed per round. The tables
show their median, the bootstrap 95% interval of the median (with the number of rounds in parentheses), and
the ratio of the best rounds.

Rates cover training steps only, after at least 5 warmup steps, and exclude imports, tokenization and
evaluation unless a benchmark states otherwise. A Trainer that groups by length cycles through lengths,
longest first, and is timed over complete cycles. A round is flagged if the time of a fixed matrix product
changed by more than 5% during the round or the host took more than 2% of the processor time. Flagged rounds
are included.

HF Trainer configurations:

- tutorial: padding to the maximum length, fp32;
- documentation: padding to the longest text of a batch, fp32;
- best: bfloat16 autocast where the hardware supports it, batches grouped by length, fused AdamW, no logging,
  no loss checks;
- compiled: best under `torch.compile`, warmed up for a complete cycle of lengths.
"""
FLOOR_TEXT = """\
The floor is the minimum time of a step: the arithmetic of the model without padding (the forward pass, and
twice that for the backward pass) at the best rate of a matrix product measured in the same round, plus the
memory traffic of the optimizer (28 bytes per parameter) at the best measured bandwidth. The first column
counts the traffic of parameters that receive a gradient; embeddings of tokens that do not occur in any text
receive none. The second counts all trained parameters. The last two columns show the utilization for the
arithmetic alone (MFU), and the speedup over HF Trainer (best) that a step at the floor would have.
"""


PROFILE_TEXT = """\
The table shows the shares of the running time by kind of operation. The targets were set for a processor
with AMX, whose bfloat16 matrix products are more than five times as fast as on the machine below
(AVX512-BF16, see the peaks above), so that all other operations weigh more there. On this machine, matrix
products dominate a step and run near their peak; the last column of the floor table bounds the possible
speedup. ONNX Runtime int8 is fast at prediction because integer products are twice as fast as bfloat16
products on this machine.
"""


def render(
    results: Sequence[Result],
    names: Iterable[str],
    profile: Result | None = None,
    further: Iterable[str] = (),
) -> str:
    """The whole page, with `further` sections before the last; lists benchmarks without a result."""
    by_name = {result["name"]: result for result in results}
    absent = [name for name in names if name not in by_name]
    parts = [INTRODUCTION, overview(results)]
    if absent:
        parts.append(f"Not measured yet: {', '.join(absent)}.\n")
    parts += [floor(results), profiles(profile)]
    parts += [*(section(result) for result in results), *further, place(results)]
    return "\n".join(part for part in parts if part)


def overview(results: Sequence[Result]) -> str:
    """Every ratio with its target and whether it was reached."""
    rows = ["| benchmark | against | ratio | 95% interval | best rounds | target | reached |"]
    rows.append("|---|---|---|---|---|---|---|")
    for result in results:
        for key, side in result["contestants"].items():
            if key.startswith("bertune"):
                continue
            target = result["targets"].get(key)
            ratio = result["ratios"].get(key)
            name = f"[{result['name']}](#{result['name']})"
            cells = [name, side["title"], *_ratio_cells(ratio), _target(result, target)]
            rows.append(f"| {' | '.join([*cells, _reached(result, target, ratio)])} |")
    return "\n".join([*rows, ""])


def floor(results: Sequence[Result]) -> str:
    """The fraction of the physical floor, for benchmarks that measured it."""
    known = [r for r in results if r.get("floor")]
    if not known:
        return ""
    rows = [
        "| benchmark | parameters with a gradient | all parameters | target | reached | arithmetic alone "
        "(MFU) | upper bound of the speedup over HF Trainer, best |",
        "|---|---|---|---|---|---|---|",
    ]
    for result in known:
        found, target = result["floor"], result["floor_target"]
        reached = "" if target is None else _yes(found["updated"]["median"] >= target)
        cells = [
            result["name"],
            _share(found["updated"]),
            _share(found["all"]),
            "" if target is None else f"{target:.0%}",
            reached,
            _share(found["arithmetic"]),
            _most(result, found["updated"]["median"]),
        ]
        rows.append(f"| {' | '.join(cells)} |")
    measured = [
        f"- {r['name']}: {r['floor']['peaks']['square_flops'] / 1e9:,.0f} GFLOP/s (square product), "
        f"{r['floor']['peaks']['shapes_flops'] / 1e9:,.0f} GFLOP/s (the model's own products), "
        f"{r['floor']['peaks']['copy_bytes'] / 1e9:,.1f} GB/s (copy), "
        f"{r['floor']['peaks']['triad_bytes'] / 1e9:,.1f} GB/s (triad); "
        f"{r['floor']['flops_per_step'] / 1e9:,.1f} GFLOP per step; "
        f"{r['floor']['parameters']['updated_parameters']:,} of "
        f"{r['floor']['parameters']['trained_parameters']:,} parameters receive a gradient"
        for r in known
    ]
    return "\n".join(["## Physical floor", "", FLOOR_TEXT, *rows, "", *measured, ""])


def _most(result: Result, fraction: float) -> str:
    """The ratio of a step at the floor: the measured ratio divided by the fraction of the floor."""
    ratio = result["ratios"].get("best")
    return "" if ratio is None else f"{ratio['median'] / fraction:.1f}x"


def profiles(profile: Result | None) -> str:
    """The running time by kind of operation, which explains missed targets."""
    if profile is None:
        return ""
    work = profile["work"]
    kinds = list(dict.fromkeys(kind for found in work.values() for kind in found["kinds"]))
    heads = ["", "milliseconds", *kinds, "operations"]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, found in work.items():
        shares = [f"{found['kinds'].get(kind, 0) / found['milliseconds']:.0%}" for kind in kinds]
        cells = [name, f"{found['milliseconds']:,.1f}", *shares, f"{found['operations']:,}"]
        rows.append(f"| {' | '.join(cells)} |")
    on = f"{profile['machine']['cpu']}, {profile['threads']} threads: `{profile['command']}`."
    return "\n".join(["## Profile", "", PROFILE_TEXT, *rows, "", *_stages(profile), on, ""])


def _stages(profile: Result) -> list[str]:
    """The seconds of the whole command by stage."""
    command = profile.get("whole command")
    if command is None:
        return []
    rows = [f"| {name} | {found:.1f} |" for name, found in command["stages"].items()]
    return ["| the whole command | s |", "|---|---|", *rows, f"| total | {command['seconds']:.1f} |", ""]


def section(result: Result) -> str:
    """One benchmark with the measurements of every contestant."""
    unit = UNITS[result["metric"]]
    rows = [
        f"| | {unit} | 95% interval | rounds | padding | peak memory, MB | CPU s | wall s |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {' | '.join(_side_cells(side, result['metric']))} |"
            for side in result["contestants"].values()
        ),
    ]
    notes = [f"{result['about']}. CPU and wall time cover the whole process."]
    differences = {k: v["furthest"] for k, v in result["agreement"].items() if v["furthest"] > 0}
    if differences:
        shown = ", ".join(f"{result['contestants'][k]['title']} {v:.4f}" for k, v in differences.items())
        notes.append(f"Largest difference in probability from pipeline, one by one: {shown}.")
    if result["flagged_rounds"]:
        count = len(result["flagged_rounds"])
        notes.append(f"Flagged rounds: {count} of {len(result['rounds'])}.")
    return "\n".join([f"## {result['name']}", "", f"**{result['title']}.** {' '.join(notes)}", "", *rows, ""])


def place(results: Sequence[Result]) -> str:
    """Machines, versions and commands; each distinct machine and set of versions is listed once."""
    lines: dict[str, list[str]] = {}
    for result in results:
        on, installed = result["machine"], result["versions"]
        versions = ", ".join(f"{name} {version}" for name, version in installed.items())
        line = f"- {on['cpu']}, {on['cores']} cores, {on['system']}; {versions}"
        lines.setdefault(line, []).append(f"{result['name']} ({result['measured']})")
    places = [f"{line}: {', '.join(names)}" for line, names in lines.items()]
    command = ["```", "BERTUNE_DATA=DATA make bench", "BERTUNE_DATA=DATA make bench ONLY=cola,mrpc", "```"]
    return "\n".join(["## Environment", "", *places, "", *command, ""])


def _ratio_cells(ratio: dict[str, Any] | None) -> list[str]:
    if ratio is None:
        return ["failed", "", ""]
    return [
        f"{ratio['median']:.2f}x",
        f"{ratio['low']:.2f} to {ratio['high']:.2f} ({ratio['count']})",
        f"{ratio['best']:.2f}x",
    ]


def _target(result: Result, target: float | None) -> str:
    if target is None:
        return ""
    return f"{target:g}x or less" if result["metric"] == "peak_rss_mb" else f"{target:g}x"


def _reached(result: Result, target: float | None, ratio: dict[str, Any] | None) -> str:
    if target is None or ratio is None:
        return ""
    median = ratio["median"]
    return _yes(median <= target if result["metric"] == "peak_rss_mb" else median >= target)


def _yes(is_reached: bool) -> str:
    return "yes" if is_reached else "no"


def _share(found: dict[str, float]) -> str:
    return f"{found['median']:.1%} ({found['low']:.1%} to {found['high']:.1%})"


def _side_cells(side: dict[str, Any], metric: str) -> list[str]:
    if "error" in side:
        error = side["error"].replace("|", "/")
        return [side["title"], f"failed: {error}", "", "", "", "", "", ""]
    found = side[metric]
    digits = 2 if found["median"] < 10 else 1
    waste = "" if "padding_waste" not in side else f"{side['padding_waste']:.1%}"
    return [
        side["title"],
        f"{found['median']:,.{digits}f}",
        f"{found['low']:,.{digits}f} to {found['high']:,.{digits}f}",
        str(found["count"]),
        waste,
        f"{side['process_peak_rss_mb']:,.0f}",
        f"{side['process_cpu_seconds']:,.1f}",
        f"{side['process_wall_seconds']:,.1f}",
    ]
