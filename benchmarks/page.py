"""Owns the page of results, docs/benchmarks.md: rendered from the stored results and nothing else."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

Result = dict[str, Any]

UNITS = {"examples_per_second": "texts/s", "wall_seconds": "s", "peak_rss_mb": "MB"}
INTRODUCTION = """\
# Benchmarks

Written by `make bench` from the files in `benchmarks/results/speed`, which hold every round's raw
numbers.

Every contestant of a benchmark has the same texts, weights, tokenizer, batch size, maximum length,
learning rate (5e-5), warm-up (10 %), weight decay (0.01) and dropout, and runs in a process of its own. A
round runs each of them once, in an order that turns from round to round. The ratio is taken round by
round; shown are the median and the bootstrap 95 % interval of the median (in brackets the number of
rounds), and the ratio of each side's best round.

Rates are those of training steps alone, after at least 5 steps of warm-up: no import, tokenization or
evaluation, except where the benchmark says that the whole counts. A Trainer that groups by length works
through lengths in turns, longest first, and is timed over whole turns. A round is flagged when a fixed
matrix product before and after it differs by more than 5 %, or the host took more than 2 % of the
processor time; it still counts.

HF Trainer, tutorial: padding to the maximum length, fp32. Documentation: padding to the longest of a
batch, fp32. Best: bfloat16 autocast where the hardware has it, batches of similar length, fused AdamW, no
logging, no checks of the loss. Compiled: that under `torch.compile`, which is given a whole turn of
lengths to warm up.
"""
FLOOR_TEXT = """\
The least time a step can take: the arithmetic of the model without padding (forward, and twice that
backward) at the best rate of a matrix product measured in the same round, plus the optimizer's traffic
(28 bytes a parameter) at the best memory bandwidth measured there. The first fraction counts the traffic
of the parameters that some text can change: embeddings of tokens that are in no text get no gradient. The
second counts all trained parameters. Then the share of the arithmetic alone (MFU), and what a step at the
floor, which nobody can beat, would gain on HF Trainer at its best.
"""


PROFILE_TEXT = """\
Where the time goes, as shares of it. The targets were set for a processor with AMX, whose matrix products in
bfloat16 are more than five times as fast as those of the machine below (AVX512-BF16: see the peaks above), so
that all around them counts for more. Here the products are most of a step and run near their peak, and the
last column of the floor's table says what even a step without anything else would gain. Prediction is beside
ONNX Runtime's int8 what it is because integer products are twice as fast here as those in bfloat16.
"""


def render(results: Sequence[Result], names: Iterable[str], profile: Result | None = None) -> str:
    """The whole page; benchmarks without a result are named as not measured."""
    by_name = {result["name"]: result for result in results}
    absent = [name for name in names if name not in by_name]
    parts = [INTRODUCTION, overview(results)]
    if absent:
        parts.append(f"Not measured yet: {', '.join(absent)}.\n")
    parts += [floor(results), profiles(profile)]
    parts += [*(section(result) for result in results), place(results)]
    return "\n".join(part for part in parts if part)


def overview(results: Sequence[Result]) -> str:
    """Every ratio beside its target, reached or not."""
    rows = ["| benchmark | against | ratio | 95 % interval | best rounds | target | reached |"]
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
    """The fraction of the physical floor, where it was measured."""
    known = [r for r in results if r.get("floor")]
    if not known:
        return ""
    rows = [
        "| benchmark | parameters that change | all parameters | target | reached | arithmetic alone "
        "| no step could be faster than HF Trainer, best, by more than |",
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
        f"{r['floor']['flops_per_step'] / 1e9:,.1f} GFLOP a step; "
        f"{r['floor']['parameters']['updated_parameters']:,} of "
        f"{r['floor']['parameters']['trained_parameters']:,} parameters change"
        for r in known
    ]
    return "\n".join(["## floor", "", FLOOR_TEXT, *rows, "", *measured, ""])


def _most(result: Result, fraction: float) -> str:
    """The ratio that a step at the floor would have: ours, over the fraction of the floor that it is."""
    ratio = result["ratios"].get("best")
    return "" if ratio is None else f"{ratio['median'] / fraction:.1f}x"


def profiles(profile: Result | None) -> str:
    """Where the time goes: why a target that is missed is missed."""
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
    return "\n".join(["## profile", "", PROFILE_TEXT, *rows, "", *_stages(profile), on, ""])


def _stages(profile: Result) -> list[str]:
    """Where the seconds of the whole command go; the steps' own ratio bounds what the rest can gain."""
    command = profile.get("whole command")
    if command is None:
        return []
    rows = [f"| {name} | {found:.1f} |" for name, found in command["stages"].items()]
    return ["| the whole command | s |", "|---|---|", *rows, f"| in all | {command['seconds']:.1f} |", ""]


def section(result: Result) -> str:
    """One benchmark: every contestant's own numbers."""
    unit = UNITS[result["metric"]]
    rows = [
        f"| | {unit} | 95 % interval | rounds | padding | peak memory, MB | CPU s | wall s |",
        "|---|---|---|---|---|---|---|---|",
        *(
            f"| {' | '.join(_side_cells(side, result['metric']))} |"
            for side in result["contestants"].values()
        ),
    ]
    notes = [f"{result['about']}. CPU and wall seconds are those of whole processes."]
    differences = {k: v["furthest"] for k, v in result["agreement"].items() if v["furthest"] > 0}
    if differences:
        said = ", ".join(f"{result['contestants'][k]['title']} {v:.4f}" for k, v in differences.items())
        notes.append(f"Largest difference of a probability from pipeline's, one by one: {said}.")
    if result["flagged_rounds"]:
        count = len(result["flagged_rounds"])
        notes.append(f"{count} of {len(result['rounds'])} rounds are flagged.")
    return "\n".join([f"## {result['name']}", "", f"**{result['title']}.** {' '.join(notes)}", "", *rows, ""])


def place(results: Sequence[Result]) -> str:
    """Where and how, each distinct machine and set of versions once."""
    lines: dict[str, list[str]] = {}
    for result in results:
        on, seen = result["machine"], result["versions"]
        versions = ", ".join(f"{name} {version}" for name, version in seen.items())
        line = f"- {on['cpu']}, {on['cores']} cores, {on['system']}; {versions}"
        lines.setdefault(line, []).append(f"{result['name']} ({result['measured']})")
    said = [f"{line}: {', '.join(names)}" for line, names in lines.items()]
    command = ["```", "BERTUNE_DATA=DATA make bench", "BERTUNE_DATA=DATA make bench ONLY=cola,mrpc", "```"]
    return "\n".join(["## Where and how", "", *said, "", *command, ""])


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


def _yes(is_so: bool) -> str:
    return "yes" if is_so else "no"


def _share(found: dict[str, float]) -> str:
    return f"{found['median']:.1%} ({found['low']:.1%} to {found['high']:.1%})"


def _side_cells(side: dict[str, Any], metric: str) -> list[str]:
    if "error" in side:
        said = side["error"].replace("|", "/")
        return [side["title"], f"failed: {said}", "", "", "", "", "", ""]
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
