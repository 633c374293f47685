"""Renders the results of benchmarks/audit.py as a section of docs/results.md."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

SECTION = Path(__file__).parent / "sections" / "audit.md"
_TITLES = {"sst2": "SST-2", "imdb": "IMDB", "chnsenticorp": "ChnSentiCorp", "clinc150": "CLINC150"}
_COLUMNS = {
    "exact copies, recall": "exact_recall",
    "contradicting labels, recall": "conflict_recall",
    "shared groups, recall": "group_recall",
    "near copies, recall": "near_recall",
    "near copies, precision": "near_precision",
    "precision without natural ones": "near_precision_planted_only",
    "seconds": "seconds",
}
_INTRODUCTION = """\
## Audit: planted faults

`benchmarks/audit.py` plants faults in the evaluated rows of four data sets: 7% become copies of training
rows, 3% copies with other labels, 5% near copies, and 5% join a group of the training data. The near copies
were made in turn by changing case, whitespace or punctuation, by replacing, deleting, inserting or moving a
word, by a typo, by a replaced word together with another case, and in texts of at least 100 words also by
replacing 4% of the words or removing the last tenth. Words of texts with fewer than 6 words (12 characters in
Chinese) are not edited, because that would change the meaning. In Chinese, a word is one or two characters.

The original data sets contain near duplicates, too; such a row counts as correct if the character-level
similarity (`difflib`) of the two texts is at least 0.8. The column *without natural ones* counts them as
errors. Mean of {seeds} seeds, with the lowest and highest value in brackets.
"""


def write_section(results: dict[str, Any]) -> None:
    """Write the section that `results_by_task.py` adds to docs/results.md."""
    SECTION.parent.mkdir(exist_ok=True)
    SECTION.write_text(section(results), encoding="utf-8")


def section(results: dict[str, Any]) -> str:
    """The section as Markdown."""
    parts = []
    if "planted" in results:
        planted = results["planted"]["results"]
        seeds = max(len(of_set["both"]) for of_set in planted.values())
        parts += [_INTRODUCTION.format(seeds=seeds), _faults(planted), _searches(planted), _edits(planted)]
    if "million" in results:
        parts.append(_million(results["million"]["results"]))
    if "cost" in results:
        parts.append(_cost(results["cost"]["results"]))
    environments = [results[key]["environment"] for key in ("planted", "million") if key in results]
    about = "; ".join(f"{e['cpu']}, {e['cores']} cores, rensa {e['rensa']}" for e in environments[:1])
    parts.append(
        f"Measured on {about}, under other load.\n\n```\nBERTUNE_DATA=DATA python benchmarks/audit.py\n"
        "BERTUNE_DATA=DATA python benchmarks/audit.py --million\n"
        "BERTUNE_DATA=DATA python benchmarks/audit.py --cost\n```\n"
    )
    return "\n".join(parts)


def _faults(planted: dict[str, Any]) -> str:
    rows = [
        [
            f"{_TITLES[name]} ({of_set['test']:,} rows)",
            *(_spread(of_set["both"], key) for key in _COLUMNS.values()),
        ]
        for name, of_set in planted.items()
    ]
    return _table(["data set", *_COLUMNS], rows)


def _searches(planted: dict[str, Any]) -> str:
    names = [name for name in next(iter(planted.values())) if name not in ("train", "test", "natural")]
    rows = [
        [
            name,
            *(
                f"{of_set[name][0]['near_recall']:.3f} ({of_set[name][0]['seconds']:.1f} s)"
                for of_set in planted.values()
            ),
        ]
        for name in names
    ]
    return (
        "Short texts (up to 64 words) are searched by deletion neighbourhoods, long ones (from 21 words) by "
        "MinHash, and candidates are verified exactly. Recall of near copies and seconds with each alone, "
        "one seed:\n\n" + _table(["search", *(_TITLES[name] for name in planted)], rows)
    )


def _edits(planted: dict[str, Any]) -> str:
    kinds = list(
        dict.fromkeys(k for s in planted.values() for run in s["both"] for k in run["recall_by_edit"])
    )
    rows = []
    for kind in kinds:
        cells = []
        for of_set in planted.values():
            counts = [run["recall_by_edit"][kind] for run in of_set["both"] if kind in run["recall_by_edit"]]
            cells.append(f"{sum(c[0] for c in counts)} of {sum(c[1] for c in counts)}" if counts else "-")
        rows.append([kind, *cells])
    return "Near copies found, by edit, over all seeds:\n\n" + _table(
        ["edit", *(_TITLES[n] for n in planted)], rows
    )


def _million(result: dict[str, Any]) -> str:
    found = "; ".join(f"{key}: {count:,}" for key, count in result["findings"].items())
    return (
        f"One million texts of 25 words on average ({result['words']:,} words), a tenth of them copies: the "
        f"search for duplicates took {result['search_seconds']:.0f} s and all findings about texts and "
        f"labels {result['seconds']:.0f} s, with a peak memory of {result['peak_memory_mb']:,} MB, of which "
        f"{result['peak_memory_mb_before']:,} MB are the texts themselves. Findings: {found}.\n"
    )


def _cost(result: dict[str, Any]) -> str:
    share = result["audit_seconds"] / result["train_seconds"]
    return (
        f"The audit of CoLA takes {result['audit_seconds']:.2f} s. One epoch over its 8,551 sentences takes "
        f"{result['train_seconds']:.0f} s with MiniLM-L6, so the audit costs {share:.1%} of one epoch.\n"
    )


def _spread(runs: Sequence[dict[str, Any]], key: str) -> str:
    values = [run[key] for run in runs]
    mean, digits = statistics.mean(values), 1 if key == "seconds" else 3
    return f"{mean:.{digits}f} [{min(values):.{digits}f}, {max(values):.{digits}f}]"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"
