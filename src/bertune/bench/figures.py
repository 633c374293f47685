"""Summarizes rounds: measurements per contestant, ratios between them, the fraction of the floor."""

import statistics
from collections.abc import Sequence
from typing import Any

from bertune.bench.floor import Load, Peaks, Shape, floor_seconds, optimizer_bytes, training_flops
from bertune.bench.job import Job
from bertune.bench.ratios import by_round, ratio, summary
from bertune.bench.runner import Contestant, Round

_PEAKS = ("square_flops", "shapes_flops", "copy_bytes", "triad_bytes")
_AGREE = 0.02  # larger differences in probability are beyond bf16 rounding: another computation, or int8


def contestant_figures(rounds: Sequence[Round], contestant: Contestant, metric: str) -> dict[str, Any]:
    """The medians of one contestant as JSON values; only title and error if it failed."""
    outcomes = [r.outcomes[contestant.key] for r in rounds if contestant.key in r.outcomes]
    error = next((o.error for o in outcomes if o.error), None)
    found: dict[str, Any] = {"title": contestant.title}
    values = list(by_round(rounds, contestant.key, metric).values())
    if error is not None or not values:
        return {**found, "error": error or "not run"}
    found[metric] = summary(values).as_json()
    for name in ("wall_seconds", "cpu_seconds", "peak_rss_mb"):
        found[f"process_{name}"] = round(statistics.median(getattr(o, name) for o in outcomes), 1)
    first = outcomes[0].numbers
    if "padded_load" in first:
        real, padded = (sum(o.numbers[k]["tokens"] for o in outcomes) for k in ("load", "padded_load"))
        found["padding_waste"] = round(1 - real / padded, 4)
        found["steps"] = round(statistics.median(o.numbers["steps"] for o in outcomes))
    return found


def ratio_figures(
    rounds: Sequence[Round], contestants: Sequence[Contestant], ours: str, metric: str
) -> dict[str, Any]:
    """The ratios of bertune to each other contestant with measurements."""
    own = by_round(rounds, ours, metric)
    found = {c.key: ratio(own, by_round(rounds, c.key, metric), metric) for c in contestants if c.key != ours}
    return {key: value for key, value in found.items() if value is not None}


def floor_figures(
    rounds: Sequence[Round], job: Job, shape: Shape | None, ours: str, peaks: str
) -> dict[str, Any] | None:
    """The time of the floor divided by the measured time, per round; None if either was not measured.

    `updated` counts the optimizer's memory traffic for the parameters that receive a gradient, `all` for all
    trained parameters. `arithmetic` is the model FLOPs utilization (MFU); `executed` also counts padding.
    """
    both = [r for r in rounds if _has(r, ours) and _has(r, peaks)]
    if shape is None or not both:
        return None
    fractions: dict[str, list[float]] = {"updated": [], "all": [], "arithmetic": [], "executed": []}
    for round_ in both:
        numbers, measured = round_.outcomes[ours].numbers, round_.outcomes[peaks].numbers
        limits = Peaks(**{name: measured[name] for name in _PEAKS})
        flops = training_flops(Load(**numbers["load"]), shape, job.freeze)
        executed = training_flops(Load(**numbers["padded_load"]), shape, job.freeze)
        for name in ("updated", "all"):
            kind = "updated_parameters" if name == "updated" else "trained_parameters"
            moved = numbers["steps"] * optimizer_bytes(numbers[kind])
            fractions[name].append(floor_seconds(flops, moved, limits) / numbers["seconds"])
        fractions["arithmetic"].append(flops / limits.flops / numbers["seconds"])
        fractions["executed"].append(executed / limits.flops / numbers["seconds"])
    first = both[0].outcomes[ours].numbers
    medians = {name: statistics.median(r.outcomes[peaks].numbers[name] for r in both) for name in _PEAKS}
    return {
        **{name: summary(values).as_json() for name, values in fractions.items()},
        "peaks": medians,
        "flops_per_step": round(training_flops(Load(**first["load"]), shape, job.freeze) / first["steps"]),
        "parameters": {k: first[k] for k in ("trained_parameters", "updated_parameters", "used_ids")},
    }


def agreement(rounds: Sequence[Round], contestants: Sequence[Contestant], reference: str) -> dict[str, Any]:
    """The largest difference in probability from a reference, for contestants that report probabilities."""
    found = {}
    for contestant in contestants:
        for round_ in rounds:
            if not (_has(round_, contestant.key) and _has(round_, reference)):
                continue
            own = round_.outcomes[contestant.key].numbers.get("probabilities")
            others = round_.outcomes[reference].numbers.get("probabilities")
            if own and others:
                furthest = max(abs(a - b) for a, b in zip(own, others, strict=True))
                found[contestant.key] = {"furthest": round(furthest, 4), "agrees": furthest <= _AGREE}
                break
    return found


def flagged(rounds: Sequence[Round]) -> list[int]:
    """The numbers of the rounds during which the speed of the machine changed."""
    return [r.number for r in rounds if r.is_flagged]


def _has(round_: Round, key: str) -> bool:
    return key in round_.outcomes and round_.outcomes[key].error is None
