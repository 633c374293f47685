"""The page benchmarks/serving.md, rendered from the files in benchmarks/results/serving."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

Values = dict[str, Any]  # of one key, such as sst2/onnx-int8, in one round

TITLES = {
    "onnx-int8": "bertune serve, int8 graph",
    "onnx": "bertune serve, fp32 graph",
    "run": "bertune serve, run (torch)",
    "peer": "FastAPI + pipeline",
    "peer one by one": "FastAPI + pipeline, one by one",
}
WORKLOADS = {
    "sst2": "sentences of SST-2",
    "ag_news": "articles of AG News",
    "imdb": "reviews of IMDB",
    "mixed": "nine sentences of SST-2 to one review of IMDB",
}
_HEAD = (
    "| | offline, texts/s | 1 per request, texts/s | 64 waiting clients, texts/s | {n} per request, texts/s "
    "| of offline | one text, ms | "
    "p50 and p99 at half load, ms | p99 / one text | first answer, s | x plain server |"
)


_ABOUT = """# The service under load

all-MiniLM-L6-v2, fine-tuned on part of SST-2, behind `bertune serve`, compared with a plain FastAPI server
with the transformers pipeline. An open-loop generator sends requests at scheduled times over 64 connections,
and compares every answer with that of `Model.predict`; latencies count from the scheduled time. The offline
rate is that of `Model.predict` on the same texts and the same CPUs, measured before and after each service;
the highest one counts, because on a virtual machine some runs are much slower. Half load is half of the
throughput with one text per request. Each of the 64 waiting clients sends one text per request, as soon as
it has the previous answer, as `wrk` does. The column "of offline" gives the three throughputs as shares of
the offline rate.
"""


def page(setups: list[Values]) -> str:
    """The results as a Markdown page, with a section per setup."""
    return "\n".join((_ABOUT, *map(_section, setups)))


def _section(found: Values) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    by_wrk: dict[str, list[str]] = {}
    for values in found["rounds"].values():
        for key, stages in values.items():
            if stages.get("wrk"):
                by_wrk.setdefault(TITLES[key.split("/")[1]], []).append(f"{stages['wrk']:,.0f}")
    checks = [f"{title}: {', '.join(rates)} texts/s" for title, rates in by_wrk.items()]
    rounds, machine, cpus = len(found["rounds"]), found["machine"], found["server_cpus"]
    workloads = dict.fromkeys(key.split("/")[0] for values in found["rounds"].values() for key in values)
    command = (
        f"BERTUNE_DATA=DATA python benchmarks/serving.py --cache CACHE --rounds {rounds} "
        f"--seconds {found['seconds']:g} --workloads {' '.join(workloads)}"
        f"{' --server-cpus ' if cpus else ''}{' '.join(map(str, cpus))}"
    )
    return "\n".join(
        (
            f"## {len(cpus)} CPUs, the clients on others" if cpus else "## All CPUs shared with the clients",
            "",
            table(found),
            f"Medians of {rounds} round{'s' if rounds > 1 else ''}, each stage {found['seconds']:g} seconds, "
            f"measured {found['measured']} on {machine['cpu']}, {machine['cores']} cores, "
            f"{machine['system']}; {versions}.",
            "",
            "Largest difference of a probability from that of `Model.predict`, and share of other labels: "
            f"{'; '.join(_differences(found))}.",
            "",
            f"Throughput with one text per request by `wrk`: {'; '.join(checks) or 'not measured'}.",
            "",
            "```",
            command,
            "```",
            "",
        )
    )


def _differences(found: Values) -> Iterator[str]:
    """How far the answers of each server were from those of `Model.predict`, over all its measurements."""
    outcomes: dict[str, list[Values]] = {}
    for values in found["rounds"].values():
        for key, stages in values.items():
            for stage in stages.values():
                several = stage.get("steps", [stage]) if isinstance(stage, dict) else []
                outcomes.setdefault(TITLES[key.split("/")[1]], []).extend(several)
    for title, several in outcomes.items():
        largest, flips = (max(one[name] for one in several) for name in ("largest_difference", "flips"))
        yield f"{title} {largest:.1g}, {flips:.1%}"


def table(found: Values) -> str:
    """Medians over the rounds, for each workload, as Markdown."""
    rounds: dict[str, dict[str, Values]] = found["rounds"]
    size = found["texts_per_request"]
    keys = list(dict.fromkeys(key for values in rounds.values() for key in values))
    lines: list[str] = []
    for name in dict.fromkeys(key.split("/")[0] for key in keys):
        lines += [f"**{WORKLOADS.get(name, name)}**", "", _HEAD.format(n=size), "|---" * 11 + "|"]
        for key in (key for key in keys if key.split("/")[0] == name):
            cells = _cells([values[key] for values in rounds.values() if key in values], size)
            lines.append(f"| {TITLES[key.split('/')[1]]} | {' | '.join(cells)} | {_speedup(rounds, key)} |")
        lines.append("")
    return "\n".join(lines)


def _cells(rounds: list[Values], size: int) -> Iterator[str]:
    offline: float = max(
        (values[stage] for values in rounds for stage in ("offline1", "offline2") if stage in values),
        default=0,
    )

    def rate(stage: str) -> Callable[[Values], float]:
        key = "answered_texts" if stage == "closed" else "texts_per_second"
        return lambda values: float(values[stage][key])

    yield f"{offline:,.0f}" if offline else ""
    yield _median(rounds, rate("saturation1"), "{:,.0f}")
    yield _median(rounds, rate("closed"), "{:,.0f}")
    yield _median(rounds, rate(f"saturation{size}"), "{:,.0f}")

    def share(stage: str) -> Callable[[Values], float]:
        return lambda values: rate(stage)(values) / offline

    def latency(quantile: str) -> Callable[[Values], float]:
        return lambda values: float(values["half"]["latency"][quantile])

    stages = ("saturation1", "closed", f"saturation{size}")
    shares = (_median(rounds, share(stage), "{:.0%}") for stage in stages if offline)
    yield ", ".join(one for one in shares if one)
    yield _median(rounds, lambda v: v["single"]["latency"]["p50"], "{:.1f}")
    halves = (_median(rounds, latency(quantile), "{:.1f}") for quantile in ("p50", "p99"))
    yield " and ".join(half for half in halves if half)
    yield _median(rounds, lambda v: v["half"]["latency"]["p99"] / v["single"]["latency"]["p50"], "{:.1f}")
    yield _median(rounds, lambda v: v["start"], "{:.1f}")


def _speedup(rounds: dict[str, dict[str, Values]], key: str) -> str:
    """The throughput with one text per request relative to the plain server, paired by round."""
    name, kind = key.split("/")
    if kind.startswith("peer"):
        return ""
    ratios: list[float] = []
    for values in rounds.values():
        peers = [
            found["saturation1"]["texts_per_second"]
            for other, found in values.items()
            if other.startswith(f"{name}/peer") and "saturation1" in found
        ]
        if peers and "saturation1" in values.get(key, {}):
            ratios.append(values[key]["saturation1"]["texts_per_second"] / max(peers))
    return f"{statistics.median(ratios):.1f}x" if ratios else ""


def _median(rounds: list[Values], value: Callable[[Values], float], form: str) -> str:
    """The median over the rounds that have the value; empty if none has."""
    found: list[float] = []
    for values in rounds:
        try:
            found.append(value(values))
        except KeyError:
            continue
    return form.format(statistics.median(found)) if found else ""
