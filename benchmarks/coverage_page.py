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
        choices = len({one["choice"] for one in compare})
        lines += [
            "",
            "## Comparisons of two runs",
            "",
            "How often `bertune compare` finds a significant difference on 100 test sets drawn from 4,000 "
            f"texts of SST-2, for each of {choices} random choices of training, validation and test rows. "
            "The runs fine-tune MiniLM-L6 for two epochs on 2,000 texts, or on half of them, with the "
            "embeddings and four layers frozen. MCC is tested first, and the other scores can only be "
            "significant if it is. The last column shows how often Holm's correction over all scores would "
            "find a difference: two seeds are different models, whose log losses differ more than their "
            "labels. See "
            "[uncertainty.md](uncertainty.md#compare-runs) on models and recipes.",
            "",
            "| second run | choice of rows | test rows | MCC of both | MCC differs "
            "| any score differs | any score, Holm alone |",
            "|---|---|---|---|---|---|---|",
        ]
        for one in sorted(compare, key=lambda one: (one["runs"] != "two seeds of one recipe", one["choice"])):
            both = " and ".join(f"{value:.3f}" for value in one["mcc"])
            keys = ("primary_different", "any_different", "any_different_by_holm")
            counts = [f"{one[key]} of {one['test_sets']}" for key in keys]
            cells = [one["runs"], str(one["choice"]), f"{one['rows']:,}", both, *counts]
            lines.append(f"| {' | '.join(cells)} |")
        lines += ["", "```", "BERTUNE_DATA=DATA python benchmarks/same_recipe.py", "```"]
    return lines


def _results(name: str) -> list[dict[str, Any]]:
    path = RESULTS / name
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
