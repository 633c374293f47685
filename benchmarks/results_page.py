"""Owns the page of results: a row for every data set, its figure beside a published one, how they differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from results_sets import SETS, Set

_INTRODUCTION = """\
# Results, task by task

What each task reaches on real data, beside a published figure for the nearest model. Written by
`python benchmarks/results_by_task.py` from the files in `benchmarks/results/tasks`, which hold every run's
command; what each run is trained on stands in `benchmarks/results_sets.py`.

**These figures do not rival the published ones and are not meant to.** {bounds}Encoders are small: MiniLM-L6
(all-MiniLM-L6-v2: 6 layers of width 384, without capitals, fine-tuned for the similarity of sentences) for
English; for Chinese none that is pretrained is at hand, so two layers of width 256 start from random numbers
with the vocabulary of bert-base-chinese. One seed each. Whether training itself is as good as its peers' is
another question, answered with the same weights and data on both sides in
[benchmarks/quality.md](../benchmarks/quality.md).

Scores are times 100, but for perplexity.
"""
_BOUNDS = (
    "Rows that are not marked *full* are of a part of the data or of the epochs, as said below: minutes to "
    "an hour and a half of one core. "
)
_SECONDS = "Seconds are by the clock, beside other work of the machine; some runs were halted for a while."


def shown_score(row: Set, result: Mapping[str, Any]) -> str:
    """The score of a result in the table's unit."""
    split, name = row.score.split(".")
    value = result["scores"][split][name]
    return f"{value:.1f}" if name == "perplexity" else f"{100 * value:.1f}"


def _trained_on(row: Set, result: Mapping[str, Any]) -> str:
    epochs = f"{result['epochs']:g} epoch{'s' * (result['epochs'] != 1)}"
    full = "; *full*" if result["full"] else ""
    return f"{result['rows']['train']:,} {_counted(row)}, {epochs}{full}"


def _counted(row: Set) -> str:
    # A dialogue has several questions, and what is learned are questions.
    return "questions" if row.unit == "dialogues" else row.unit


def _cells(row: Set, result: Mapping[str, Any] | None) -> list[str]:
    split, name = row.score.split(".")
    published = [row.published.value, f"{row.published.what}: {row.published.source}"]
    if result is None:
        return [row.title, row.task, row.encoder, "-", "-", name, "no result yet", *published]
    scored = f"{result['rows'][split]:,} of {'test' if split == 'test' else 'held-out data'}"
    trained = _trained_on(row, result)
    return [
        row.title,
        row.task,
        row.encoder,
        trained,
        scored,
        name,
        f"**{shown_score(row, result)}**",
        *published,
    ]


def _note(row: Set, result: Mapping[str, Any] | None) -> str:
    share = "" if result is None or result["full"] else f" {row.share}"
    return f"- **{row.title}** ({row.task}): {row.note}{share}".rstrip()


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole Markdown page from results by set."""
    is_bounded = not results or any(not result["full"] for result in results.values())
    lines = [
        _INTRODUCTION.format(bounds=_BOUNDS if is_bounded else ""),
        "| data set | task | encoder | trained on | scored on | score | bertune | published | by |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row, results.get(name)))} |" for name, row in SETS.items()]
    lines += ["", "## How they differ", ""]
    lines += [_note(row, results.get(name)) for name, row in SETS.items()]
    lines += ["", "## Where and how", "", _SECONDS, "", *_places(results), "", "```"]
    lines += [
        "BERTUNE_DATA=DATA OMP_NUM_THREADS=1 python benchmarks/results_by_task.py",
        "BERTUNE_DATA=DATA python benchmarks/results_by_task.py --full",
        "```",
    ]
    return "\n".join(lines) + "\n"


def _places(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A line for each machine, number of threads and set of versions, with the runs made there."""
    found: dict[str, list[str]] = {}
    for name, result in results.items():
        place = result["machine"]
        versions = ", ".join(
            f"{library} {result['versions'][library]}"
            for library in ("python", "bertune", "torch", "transformers")
        )
        threads = f"{result['threads']} thread{'s' * (result['threads'] != 1)}"
        line = f"{place['cpu']}, {place['system']}, {threads} of {place['cores']} cores; {versions}"
        found.setdefault(line, []).append(f"{name} ({result['measured']}, {result['seconds']:.0f} s)")
    return [f"- {line}: {', '.join(runs)}" for line, runs in found.items()]
