"""Renders the coverage of intervals and the results of comparisons for docs/results.md."""

import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"


def coverage_lines() -> list[str]:
    """The Markdown section; empty without results."""
    coverage, compare = (_results(name) for name in ("coverage.json", "compare.json"))
    lines = ["", "## Coverage of the 95% intervals", ""] if coverage else []
    if coverage:
        lines += [
            "How many of 200 test sets, drawn from a large pool of predictions, have an interval that "
            "contains the score on the whole pool. bertune reports percentile intervals; bias-corrected ones "
            "(BCa) are too short for the macro average over the 77 labels of Banking77.",
            "",
            "| data set | score | rows (queries for nDCG) | score on the pool | percentile | BCa |",
            "|---|---|---|---|---|---|",
        ]
        for one in coverage:
            shares = [f"{100 * one['coverage'][method]:.1f}%" for method in ("percentile", "BCa")]
            cells = [one["data"], one["score"], f"{one['rows']:,}", f"{one['true']:.3f}", *shares]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "```", "BERTUNE_DATA=DATA python benchmarks/coverage.py --out coverage.json", "```"]
    if compare:
        lines += [
            "",
            "## Comparisons of two runs",
            "",
            "`bertune compare` on 100 test sets drawn from 4,000 texts of SST-2: how often a difference is "
            "found after Holm's correction over the 13 scores. The runs fine-tune MiniLM-L6 with the "
            "embeddings and four layers frozen, on 2,000 texts for two epochs, and on half of these texts. "
            "The two seeds have log losses of 0.420 and 0.414 on all 4,000 texts (p = 0.004 before the "
            "correction), so they are different models in this score, which is the difference that some test "
            "sets find. With another random choice of rows, two seeds differed in some score in 11 and 26 of "
            "100 test sets of 500 and 1,000 rows, and in MCC in 0 and 4. See "
            "[uncertainty.md](uncertainty.md#compare-runs) on models and recipes.",
            "",
            "| second run | rows | MCC of both | any score differs | MCC differs |",
            "|---|---|---|---|---|",
        ]
        for one in compare:
            both = " and ".join(f"{value:.3f}" for value in one["mcc"])
            counts = [f"{one[key]} of {one['test_sets']}" for key in ("any_score_different", "mcc_different")]
            lines.append(f"| {one['runs']} | {one['rows']:,} | {both} | {' | '.join(counts)} |")
        lines += [
            "",
            "```",
            "bertune train train.tsv model.name=minilm data.validation=val.tsv data.test=pool.tsv "
            "train.freeze=4 train.epochs=2 train.seed=1 --out a",
            "python benchmarks/coverage.py --runs a b half --out compare.json",
            "```",
        ]
    return lines


def _results(name: str) -> list[dict[str, Any]]:
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
