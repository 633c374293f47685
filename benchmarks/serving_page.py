"""The page benchmarks/serving.md, rendered from the files in benchmarks/results/serving."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
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
    "| | offline, texts/s | open loop, 1 per request | {one} clients, 1 per request "
    "| {many} clients, {n} per request | of offline | one text, ms | p50 and p99 at half load, ms "
    "| p99 / one text | first answer, s | x plain server |"
)


_ABOUT = """# The service under load

all-MiniLM-L6-v2, fine-tuned on part of SST-2, behind `bertune serve`, compared with a plain FastAPI server
with the transformers pipeline. In the open loop, a generator sends requests at scheduled times over at least
64 connections, at rising rates until the service falls behind; latencies count from the scheduled time. Half
load is half of this throughput. Clients send a request as soon as they have the previous answer, as `wrk`
does. Every answer is compared with that of `Model.predict`. The offline rate is that of `Model.predict` on
the same texts and the same CPUs, in a process of its own. The column "of offline" gives the three
throughputs, in texts/s, relative to it. Offline prediction and the clients are measured in turn, as are
single texts and half load; the open loop and the plain server are measured a few minutes apart.
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
            f"Medians of {rounds} round{'s' if rounds > 1 else ''} with {found['turns']} turns each; every "
            f"measurement takes {found['seconds']:g} seconds, for single texts half of that. In brackets are "
            "the lowest and the highest of all turns. "
            f"Measured {found['measured']} on {machine['cpu']}, {machine['cores']} cores, "
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
            several = outcomes.setdefault(TITLES[key.split("/")[1]], [])
            several += stages.get("saturation", {}).get("steps", [])
            turns = (*stages.get("latency", ()), *stages.get("throughput", ()))
            several += [one for turn in turns for one in turn.values() if isinstance(one, dict)]
    for title, several in outcomes.items():
        largest, flips = (
            max((one[name] for one in several), default=0.0) for name in ("largest_difference", "flips")
        )
        yield f"{title} {largest:.1g}, {flips:.1%}"


def table(found: Values) -> str:
    """Medians over the rounds, for each workload, as Markdown."""
    rounds: dict[str, dict[str, Values]] = found["rounds"]
    size = found["texts_per_request"]
    keys = list(dict.fromkeys(key for values in rounds.values() for key in values))
    lines: list[str] = []
    for name in dict.fromkeys(key.split("/")[0] for key in keys):
        head = _HEAD.format(n=size, one=found["connections"]["1"], many=found["connections"][str(size)])
        lines += [f"**{WORKLOADS.get(name, name)}**", "", head, "|---" * 11 + "|"]
        for key in (key for key in keys if key.split("/")[0] == name):
            cells = _cells([values[key] for values in rounds.values() if key in values], size)
            lines.append(f"| {TITLES[key.split('/')[1]]} | {' | '.join(cells)} | {_speedup(rounds, key)} |")
        lines.append("")
    return "\n".join(lines)


def _cells(rounds: list[Values], size: int) -> Iterator[str]:
    opened = [float(values["saturation"]["texts_per_second"]) for values in rounds if "saturation" in values]
    turns = [turn for values in rounds for turn in values.get("throughput", ())]
    offline = [float(turn["offline"]) for turn in turns]
    by_clients = [[float(turn[str(n)]["answered_texts"]) for turn in turns] for n in (1, size)]
    shares = [
        float(values["saturation"]["texts_per_second"]) / statistics.mean(t["offline"] for t in found)
        for values in rounds
        if "saturation" in values and (found := values.get("throughput"))
    ]
    ratios = [[got / rate for got, rate in zip(several, offline, strict=True)] for several in by_clients]
    yield _median(offline, "{:,.0f}")
    yield _median(opened, "{:,.0f}")
    for several in by_clients:
        yield _median(several, "{:,.0f}")
    yield ", ".join(one for one in (_median(several, "{:.0%}") for several in (shares, *ratios)) if one)

    pairs = [turn for values in rounds for turn in values.get("latency", ())]
    single = [turn["single"]["latency"]["p50"] for turn in pairs]
    yield _median(single, "{:.1f}")
    half = [[turn["half"]["latency"][quantile] for turn in pairs] for quantile in ("p50", "p99")]
    yield " and ".join(_median(several, "{:.1f}") for several in half)
    yield _spread([p99 / one for p99, one in zip(half[1], single, strict=True)])
    yield _median([values["start"] for values in rounds if "start" in values], "{:.1f}")


def _speedup(rounds: dict[str, dict[str, Values]], key: str) -> str:
    """The throughput with one text per request relative to the plain server, paired by round."""
    name, kind = key.split("/")
    if kind.startswith("peer"):
        return ""
    ratios: list[float] = []
    for values in rounds.values():
        peers = [
            found["saturation"]["texts_per_second"]
            for other, found in values.items()
            if other.startswith(f"{name}/peer") and "saturation" in found
        ]
        if peers and "saturation" in values.get(key, {}):
            ratios.append(values[key]["saturation"]["texts_per_second"] / max(peers))
    return _median(ratios, "{:.1f}x")


def _spread(values: list[float]) -> str:
    """The median, with the lowest and the highest value."""
    if len(values) < 2:
        return _median(values, "{:.1f}")
    return f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f})"


def _median(values: list[float], form: str) -> str:
    """The median; empty without values."""
    return form.format(statistics.median(values)) if values else ""
