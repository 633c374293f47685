"""Measures what the audit finds of planted faults, and its time and memory on a million rows.

    BERTUNE_DATA=DATA python benchmarks/audit.py             planted faults in four data sets
    BERTUNE_DATA=DATA python benchmarks/audit.py --million   time and peak memory on a million texts
    BERTUNE_DATA=DATA python benchmarks/audit.py --cost      time of the audit and of one epoch on CoLA

Results are stored in benchmarks/results/audit.json and shown in docs/results.md.
"""

from __future__ import annotations

import argparse
import difflib
import importlib.metadata
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from audit_faults import Planted, planted
from audit_page import write_section

from bertune.audit.copies import copies, num_conflicts
from bertune.audit.cues import cue_findings
from bertune.audit.duplicates import NONE, Duplicates, find_duplicates
from bertune.audit.findings import AuditedSplit
from bertune.audit.neighbours import DEFAULT, Search
from bertune.bench.environment import machine, versions
from bertune.data.rows import Origin
from bertune.source import resolve_source
from bertune.training.auditing import audit_splits
from bertune.training.events import Finished
from bertune.training.fit import fit
from bertune.training.preparing import encode, fit_task
from bertune.training.reading import read
from bertune.training.splitting import split

RESULTS = Path(__file__).parent / "results" / "audit.json"
# Data set and its evaluated split.
SETS = {"sst2": "validation", "imdb": "test", "chnsenticorp": "validation", "clinc150": "test"}
SEEDS = 5
SEARCHES = {
    "both": DEFAULT,
    "deletion neighbourhoods only": Search(most_short=10**9, least_minhash=10**9),
    "MinHash only": Search(most_short=0, least_minhash=1),
}
_SIMILAR = 0.8  # ratio of difflib from which a natural pair counts as a near duplicate
MILLION = 1_000_000


def read_rows(name: str) -> dict[str, list[tuple[str, str]]]:
    """Text and label of the training and the evaluated rows of a named data set."""
    tables = read(resolve_source(name, {"model.name": "minilm"}))
    examples = tables.examples
    return {
        "train": [(e.texts[0], e.gold) for e in examples["train"]],
        "test": [
            (e.texts[0], e.gold) for e in examples[SETS[name] if SETS[name] in examples else "validation"]
        ],
    }


def audited(rows: Sequence[tuple[str, str]], groups: Sequence[str], name: str) -> AuditedSplit:
    """A split as the audit reads it."""
    return AuditedSplit(
        texts=[(text,) for text, _ in rows],
        gold=[label for _, label in rows],
        labels=[(label,) for _, label in rows],
        origins=[Origin(name, line) for line in range(1, len(rows) + 1)],
        groups=groups,
    )


def measure(data: Planted, natural: set[int], search: Search) -> dict[str, Any]:
    """Recall and precision for each planted fault. `natural` rows had near duplicates before."""
    splits = {
        "train": audited(data.train, data.train_groups, "train"),
        "test": audited(data.test, data.test_groups, "test"),
    }
    started = time.perf_counter()
    duplicates = find_duplicates({name: split.texts for name, split in splits.items()}, search=search)
    seconds = time.perf_counter() - started
    found = duplicates.repeats("test", "train")
    exact, near = _rows(found.exact), _rows(found.near)
    by_finding = {f.kind: f for f in copies(splits, duplicates, "text") if f.values.get("with") == "train"}
    conflicts = {row for row in exact if data.test[row][1] != data.train[int(found.exact[row])][1]}
    assert len(conflicts) == num_conflicts(splits["test"], splits["train"], found.exact)
    groups = by_finding["straddling_groups"]
    right = near & data.near.keys()
    others = near - data.near.keys()
    similar = {row for row in others if _is_similar(data, duplicates, row, int(found.near[row]))}
    kinds = sorted(set(data.near.values()))
    return {
        "exact_recall": len((data.copied | data.conflicting) & exact) / len(data.copied | data.conflicting),
        "conflict_recall": len(data.conflicting & conflicts) / len(data.conflicting),
        "group_recall": groups.count / len(data.straddling),
        "near_recall": len(right) / len(data.near),
        "near_precision": len(right | similar) / max(1, len(near)),
        "near_precision_planted_only": len(right) / max(1, len(near)),
        "natural_near_duplicates": len(others & natural),
        "recall_by_edit": {
            kind: [
                sum(row in near for row, k in data.near.items() if k == kind),
                list(data.near.values()).count(kind),
            ]
            for kind in kinds
        },
        "missed": [data.test[row][0][:120] for row in sorted(data.near.keys() - near)][:5],
        "seconds": round(seconds, 2),
    }


def _rows(repeats: Any) -> set[int]:
    return set(np.flatnonzero(repeats != NONE).tolist())


def _is_similar(data: Planted, duplicates: Duplicates, row: int, other: int) -> bool:
    """Whether two texts are similar by the matching blocks of their characters, another measure."""
    a, b = data.test[row][0].casefold(), data.train[other][0].casefold()
    return difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() >= _SIMILAR


def planted_faults(names: Sequence[str], seeds: int) -> dict[str, Any]:
    """The results of data sets by search and seed."""
    results: dict[str, Any] = {}
    for name in names:
        rows = read_rows(name)
        before = find_duplicates({split: [(text,) for text, _ in part] for split, part in rows.items()})
        natural = _rows(before.repeats("test", "train").near)
        results[name] = {"train": len(rows["train"]), "test": len(rows["test"]), "natural": len(natural)}
        for label, search in SEARCHES.items():
            runs = [
                measure(planted(rows["train"], rows["test"], seed), natural, search)
                for seed in range(seeds if label == "both" else 1)
            ]
            results[name][label] = runs
            keys = (
                "exact_recall",
                "conflict_recall",
                "group_recall",
                "near_recall",
                "near_precision",
                "seconds",
            )
            print(name, label, {k: round(statistics.mean(r[k] for r in runs), 4) for k in keys}, flush=True)
    return results


def million() -> dict[str, Any]:
    """Time and peak memory of the audit on a million texts with the words of IMDB, a tenth of them copies."""
    random = np.random.default_rng(0)
    words = np.array(" ".join(text for text, _ in read_rows("imdb")["train"][:5000]).split(), dtype=object)
    lengths = random.integers(5, 45, MILLION)
    rows: list[tuple[str, str]] = []
    for number, length in enumerate(lengths.tolist()):
        if number % 10 == 9:  # a copy of an earlier text, exact or with one edited word
            text, label = rows[int(random.integers(len(rows)))]
            if number % 20 == 19:
                parts = text.split()
                parts[int(random.integers(len(parts)))] = "edited"
                text = " ".join(parts)
        else:
            text, label = " ".join(words[random.integers(0, len(words), length)]), str(number % 5)
        rows.append((text, label))
    cut = MILLION * 9 // 10
    data = {"train": audited(rows[:cut], (), "train"), "test": audited(rows[cut:], (), "test")}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    duplicates = find_duplicates({name: split.texts for name, split in data.items()})
    searched = time.perf_counter()
    found = [*copies(data, duplicates, "text")]
    found += cue_findings(data["train"], duplicates, ["text"], "text")
    done = time.perf_counter()
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "rows": MILLION,
        "words": int(sum(len(text.split()) for text, _ in rows)),
        "search_seconds": round(searched - started, 1),
        "seconds": round(done - started, 1),
        "peak_memory_mb_before": before // 1024,
        "peak_memory_mb": after // 1024,
        "findings": {f"{f.kind} {f.split}": f.count for f in found},
    }


def cost() -> dict[str, Any]:
    """Seconds of the audit of CoLA, the lowest of five, and of training on it for one epoch."""
    source = resolve_source("cola", {"model.name": "minilm", "train.epochs": 1})
    tables = read(source)
    fitted, splits = fit_task(tables), split(tables)
    prepared = encode(splits, fitted)
    seconds = []
    for _ in range(5):
        started = time.perf_counter()
        audit_splits(splits, prepared.splits, prepared.encoder)
        seconds.append(time.perf_counter() - started)
    with tempfile.TemporaryDirectory() as folder:
        last = list(fit(prepared, Path(folder) / "run"))[-1]
        assert isinstance(last, Finished)
        timings = last.run.manifest["timings"]
    return {"audit_seconds": round(min(seconds), 3), "train_seconds": round(timings["train_seconds"], 1)}


def main() -> None:
    """Measure, store and show the results."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--million", action="store_true", help="measure time and memory on a million texts")
    parser.add_argument("--cost", action="store_true", help="measure the audit and one epoch of CoLA")
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS), help="data sets")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--page", action="store_true", help="only write docs/results.md again")
    chosen = parser.parse_args()
    stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    if not chosen.page:
        key = "million" if chosen.million else "cost" if chosen.cost else "planted"
        measures: dict[str, Callable[[], dict[str, Any]]] = {
            "million": million,
            "cost": cost,
            "planted": lambda: planted_faults(chosen.only, chosen.seeds),
        }
        value = measures[key]()
        if key == "planted":
            value = stored.get(key, {}).get("results", {}) | value
        about = {**machine(), "versions": versions(), "rensa": importlib.metadata.version("rensa")}
        stored[key] = {"environment": about, "results": value}
        RESULTS.write_text(json.dumps(stored, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_section(stored)


if __name__ == "__main__":
    main()
