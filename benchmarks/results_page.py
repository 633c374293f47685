"""Renders docs/results.md: the score on each data set, a published score, and the differences in setup."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from coverage_page import coverage_lines
from results_sets import SETS, Set

SECTIONS = Path(__file__).parent / "sections"

_INTRODUCTION = """\
# Results by task

The scores of each task on real data, with a published score of the most similar model.
`python benchmarks/results_by_task.py` generates this page from the files in `benchmarks/results/tasks`, which
contain the command of every run. The training data of each run is defined in `benchmarks/results_sets.py`.

**These scores are not intended to match the published ones.** {bounds}The encoders are small: MiniLM-L6
(all-MiniLM-L6-v2: 6 layers of width 384, uncased, fine-tuned for sentence similarity) for English, and two
randomly initialized layers of width 256 with the vocabulary of bert-base-chinese for Chinese, because no
pretrained Chinese encoder was available. Each result is from one seed. For a comparison of the trainers with
the same weights and data on both sides, see [benchmarks/quality.md](../benchmarks/quality.md).

All scores except perplexity are multiplied by 100.
"""
_BOUNDS = (
    "Rows that are not marked *full* use only part of the data or fewer epochs, as described below; they "
    "take from minutes to an hour and a half on one core. "
)
_SECONDS = "Seconds are wall-clock time under other load; some runs were paused for a while."


def shown_score(row: Set, result: Mapping[str, Any]) -> str:
    """The score of a result in the unit of the table."""
    split, name = row.score.split(".")
    value = result["scores"][split][name]
    return f"{value:.1f}" if name == "perplexity" else f"{100 * value:.1f}"


def _trained_on(row: Set, result: Mapping[str, Any]) -> str:
    epochs = f"{result['epochs']:g} epoch{'s' * (result['epochs'] != 1)}"
    full = "; *full*" if result["full"] else ""
    return f"{result['rows']['train']:,} {_counted(row)}, {epochs}{full}"


def _counted(row: Set) -> str:
    # A dialogue has several questions, and each question is an example.
    return "questions" if row.unit == "dialogues" else row.unit


def _cells(row: Set, result: Mapping[str, Any] | None) -> list[str]:
    split, name = row.score.split(".")
    published = [row.published.value, f"{row.published.what}: {row.published.source}"]
    if result is None:
        return [row.title, row.task, row.encoder, "-", "-", name, "no result yet", *published]
    scored = f"{result['rows'][split]:,} ({'test' if split == 'test' else 'held-out data'})"
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
    """The whole Markdown page from results by data set."""
    is_bounded = not results or any(not result["full"] for result in results.values())
    lines = [
        _INTRODUCTION.format(bounds=_BOUNDS if is_bounded else ""),
        "| data set | task | encoder | trained on | scored on | score | bertune | published | source |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [f"| {' | '.join(_cells(row, results.get(name)))} |" for name, row in SETS.items()]
    lines += ["", "## Differences from the published setups", ""]
    lines += [_note(row, results.get(name)) for name, row in SETS.items()]
    lines += coverage_lines()
    lines += ["", "## Environment", "", _SECONDS, "", *_places(results), "", "```"]
    lines += [
        "BERTUNE_DATA=DATA OMP_NUM_THREADS=1 python benchmarks/results_by_task.py",
        "BERTUNE_DATA=DATA python benchmarks/results_by_task.py --full",
        "```",
    ]
    # Results of other benchmarks, which write their own sections.
    others = [path.read_text(encoding="utf-8") for path in sorted(SECTIONS.glob("*.md"))]
    return "\n".join([*lines, *(f"\n{text}".rstrip() for text in others)]) + "\n"


def _places(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """One line per machine, number of threads and set of versions, with its runs."""
    places: dict[str, list[str]] = {}
    for name, result in results.items():
        place = result["machine"]
        versions = ", ".join(
            f"{library} {result['versions'][library]}"
            for library in ("python", "bertune", "torch", "transformers")
        )
        threads = f"{result['threads']} thread{'s' * (result['threads'] != 1)}"
        line = f"{place['cpu']}, {place['system']}, {threads} of {place['cores']} cores; {versions}"
        places.setdefault(line, []).append(f"{name} ({result['measured']}, {result['seconds']:.0f} s)")
    return [f"- {line}: {', '.join(runs)}" for line, runs in places.items()]
