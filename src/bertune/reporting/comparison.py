"""Renders a comparison of several runs as one HTML page."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bertune.errors import counted
from bertune.files import disk_errors, write_atomically
from bertune.manifest import ManifestRecord
from bertune.reporting.mistakes import worded
from bertune.reporting.page import with_script
from bertune.reporting.recorded import model_of, scores_of, splits_of
from bertune.reporting.slices import common_slices
from bertune.reporting.table import Cell, PageTable, head
from bertune.reporting.wording import (
    MISSING,
    count,
    decimal,
    duration,
    interval,
    real,
    score_name,
    value_text,
    visible,
)
from bertune.run import Run
from bertune.run_writer import refuse_links

FILE = "comparison.html"
MOST_CHANGED = 300  # rows that changed on the page, of all runs together
_ORDER = {"broken": 0, "fixed": 1, "changed": 2}


def write_comparison(runs: Sequence[Run], found: Mapping[str, Any], path: Path | None) -> Path:
    """Write the page that compares runs, by default to the report folder of the first one.

    `found` is a `comparing.Comparison` as plain data. Raises InputError and ResourceError.
    """
    if path is None:
        refuse_links(runs[0].path)
        path = runs[0].path / "report" / FILE
    with disk_errors(path):
        path.parent.mkdir(exist_ok=True)
        write_atomically(path, render(runs, found).encode("utf-8", errors="replace"))
    return path


def render(runs: Sequence[Run], found: Mapping[str, Any]) -> str:
    """The page: scores side by side, differences with intervals, slices, settings, and rows that changed."""
    manifests = [run.record for run in runs]
    names = _names(runs)
    split = str(found["split"])
    noun = manifests[0].row_noun or "text"
    page = {
        "title": f"{names[0]} and {counted(len(runs) - 1, 'other run')}"
        if len(runs) > 2
        else " and ".join(names),
        "conclusion": visible(_conclusion(names, found, noun)),
        "runs": _run_table(names, manifests, split, str(found["primary"])),
        "differences": [
            (name, _difference_table(one["scores"], str(found["primary"])))
            for name, one in zip(names[1:], found["runs"], strict=True)
        ],
        "first": names[0],
        "tests": found["tests"],
        "slices": common_slices(names, [(manifest.slices or {}).get(split) for manifest in manifests]),
        "settings": _settings_table(names, runs),
        "mistakes": worded(split, _changed(names, found, noun)),
        "command": "bertune report " + " ".join(shlex.quote(str(run.path)) for run in runs),
    }
    return with_script("comparison.html", page)


def _names(runs: Sequence[Run]) -> list[str]:
    """The folder names of the runs, or their whole paths if two have the same name."""
    names = [visible(run.path.name) for run in runs]
    return names if len(set(names)) == len(names) else [visible(run.path) for run in runs]


def _conclusion(names: Sequence[str], found: Mapping[str, Any], noun: str) -> str:
    """Name the runs that are better or worse than the first in the primary score."""
    primary, parts = found["primary"], []
    for name, run in zip(names[1:], found["runs"], strict=True):
        one = next((one for one in run["scores"] if one["score"] == primary), None)
        if one is None or one["verdict"] == "undefined":
            parts.append(f"{name} cannot be compared")
            continue
        values = f"{score_name(primary)} {decimal(one['second'])}, {names[0]} {decimal(one['first'])}"
        verdict = {"no difference": "not significantly different"}.get(one["verdict"], one["verdict"])
        parts.append(f"{name} is {verdict} ({values})")
    return f"On {counted(found['rows'], found['split'] + ' ' + noun)}, {'; '.join(parts)}."


def _run_table(
    names: Sequence[str], manifests: Sequence[ManifestRecord], split: str, primary: str
) -> PageTable:
    """Model, training rows, time and the most important scores of every run."""
    keys = list(dict.fromkeys(key for manifest in manifests for key in scores_of(manifest, split)))
    keys = sorted(
        (key for key in keys if any(real(scores_of(m, split).get(key)) is not None for m in manifests)),
        key=lambda key: key != primary,
    )
    rows = []
    for title, values in (
        ("encoder", [visible(model_of(m).name or "") for m in manifests]),
        (
            "training rows",
            [count(splits_of(m)["train"].rows) if "train" in splits_of(m) else "" for m in manifests],
        ),
        ("training time", [_seconds(m) for m in manifests]),
    ):
        rows.append([head(title), *(Cell(value) for value in values)])
    for key in keys:
        cells = [scores_of(manifest, split).get(key) for manifest in manifests]
        rows.append([head(score_name(key)), *(Cell(decimal(c), note=interval(c)) for c in cells)])
    return PageTable("scores", ["", *names], rows, marked=3 if keys and keys[0] == primary else None)


def _seconds(manifest: ManifestRecord) -> str:
    seconds = (manifest.timings or {}).get("train_seconds")
    return MISSING if seconds is None else duration(seconds)


def _difference_table(scores: Sequence[Mapping[str, Any]], primary: str) -> PageTable | None:
    rows = []
    ordered = sorted(scores, key=lambda one: one["score"] != primary)
    for one in ordered:
        change = one["difference"]
        if change is None:
            continue
        tone = {"worse": "bad", "better": "good"}.get(one["verdict"], "")
        ends = f"{decimal(change['low'])} to {decimal(change['high'])}"
        p = one["p_adjusted"]
        rows.append(
            [
                head(score_name(one["score"])),
                Cell(decimal(one["first"])),
                Cell(decimal(one["second"])),
                Cell(decimal(change["value"]), note=ends),
                Cell(MISSING if p is None else "< 0.001" if p < 0.001 else f"{p:.3f}"),
                Cell(one["verdict"], tone=tone),
            ]
        )
    headings = ["score", "first", "second", "difference", "p (adjusted)", "second is"]
    return PageTable("slices", headings, rows) if rows else None


def _settings_table(names: Sequence[str], runs: Sequence[Run]) -> PageTable | None:
    """The settings that are not the same in all runs."""
    flat = [
        {
            f"{section}.{key}": value
            for section, values in run.config.to_settings().items()
            for key, value in values.items()
        }
        for run in runs
    ]
    keys = sorted({key for one in flat for key in one})
    differing = [key for key in keys if len({str(one.get(key)) for one in flat}) > 1]
    rows = [
        [
            head(key),
            *(Cell(value_text(one.get(key)), is_users=True) for one in flat),
        ]
        for key in differing
    ]
    return PageTable("settings", ["setting", *names], rows, num_text=len(names) + 1) if rows else None


def _changed(names: Sequence[str], found: Mapping[str, Any], noun: str) -> dict[str, Any]:
    """The rows that changed, as recorded errors: see `bertune.manifest.mistakes.MistakesRecord`."""
    several = len(names) > 2
    rows = [(one, name) for name, run in zip(names[1:], found["runs"], strict=True) for one in run["changed"]]
    kinds: dict[str, int] = {}
    shown = []
    for one, name in sorted(rows, key=lambda pair: _ORDER.get(pair[0]["change"], 3)):
        kind = f"{one['change']} by {name}" if several else one["change"]
        kinds[kind] = kinds.get(kind, 0) + 1
        role = {"broken": ("right", "wrong"), "fixed": ("wrong", "right")}.get(one["change"], ("", ""))
        facts = [
            {"name": names[0], "text": _shown(one["first"]), "role": role[0]},
            {"name": name, "text": _shown(one["second"]), "role": role[1]},
            {"name": "gold", "text": _shown(one["gold"]), "role": ""},
        ]
        passages = [{"text": text} for text in one["text"]]
        shown.append(
            {"source": one["source"], "lead": kind, "facts": facts, "passages": passages, "kinds": [kind]}
        )
    return {
        "title": "Rows that changed",
        "unit": noun,
        "num": found["rows"],
        "num_wrong": len({one["source"] for one, _ in rows}),
        "what": "are predicted differently",
        "order": "Broken first, then fixed",
        "shown": shown[:MOST_CHANGED],
        "kinds": kinds,
    }


def _shown(value: Any) -> str:
    return (
        value
        if isinstance(value, str)
        else ", ".join(map(str, value))
        if isinstance(value, list)
        else str(value)
    )
