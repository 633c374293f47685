"""How often decide.max_error is exceeded: resamples of calibration rows, judged on the whole pool.

A model is trained once per data set, and its outputs for a large held-out pool are cached. Each resample
draws calibration rows from the pool with replacement, so that the pool is the population: the error rate of a
threshold on all of its rows is the true one. bertune's rule is compared with the threshold at which the
observed error rate is at most the target ("naive"), and with the risk control of MAPIE on the same rows and
scores. Needs BERTUNE_DATA.

    BERTUNE_DATA=DATA python benchmarks/guarantee.py --cache FOLDER
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from held_out import SETS, Pool, pool_of
from mapie.risk_control import BinaryClassificationController
from results_blocks import replace_block

from bertune.data.split import divide
from bertune.metrics.arrays import FloatArray
from bertune.metrics.calibration import Kind, Terms, fit_temperature
from bertune.metrics.decisions import Judged, fit_guarantee, naive_threshold

CONFIDENCE = 0.95
RESAMPLES = 200
RESULT = Path(__file__).parent / "results" / "guarantee.json"
# Data set, target error and calibration rows.
CASES = (
    ("clinc150", 0.02, 1000),
    ("clinc150", 0.01, 2000),
    ("banking77", 0.05, 1000),
    ("banking77", 0.02, 1000),
    ("sst2", 0.05, 1000),
    ("sst2", 0.02, 1000),
    ("goemotions", 0.05, 2000),
    ("goemotions", 0.02, 2000),
)

Answers = tuple[FloatArray, Any]  # confidences and whether they are wrong


def answers(pool: Pool, terms: Terms) -> dict[str, tuple[FloatArray, Any, Any]]:
    """For each question the confidence, whether it is wrong, and whether it is asked, for all rows of the
    pool."""
    whole = Terms(terms.kind, pool.logits_NC, pool.gold)
    chances_NC = whole.probabilities(fit_temperature(terms))
    if terms.kind == "softmax":
        is_wrong_N = chances_NC.argmax(axis=1) != pool.gold
        return {"": (chances_NC.max(axis=1), is_wrong_N, np.ones(len(whole), bool))}
    found = {}
    for number, label in enumerate(pool.labels):
        chance_N, gold_N = chances_NC[:, number], pool.gold[:, number] == 1
        is_yes_N = chance_N >= 0.5
        confidence_N, is_wrong_N = np.where(is_yes_N, chance_N, 1 - chance_N), is_yes_N != gold_N
        found[f"{label}: yes"] = confidence_N, is_wrong_N, is_yes_N
        found[f"{label}: no"] = confidence_N, is_wrong_N, ~is_yes_N
    return found


def of_mapie(rows: Judged, max_error: float, confidence: float) -> float | None:
    """The threshold of MAPIE's controller for the precision of confident answers; None if it finds none."""

    def predict(confidence_U: Any) -> FloatArray:
        values = np.asarray(confidence_U, np.float64).ravel()
        return np.stack([1 - values, values], axis=1)

    controller = BinaryClassificationController(
        predict, risk="precision", target_level=1 - max_error, confidence_level=confidence,
        best_predict_param_choice="recall",
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that no parameter controls the risk, and divisions by zero
        controller.calibrate(rows.confidence_U[:, None], (~rows.is_wrong_U).astype(int))
    best = controller.best_predict_param
    return None if best is None else float(np.asarray(best).ravel()[0])


def run(name: str, max_error: float, size: int, pool: Pool, resamples: int) -> dict[str, Any]:
    """Violations, mean share answered, and resamples without an answer, by method."""
    kind: Kind = "softmax" if pool.gold.ndim == 1 else "sigmoid"
    confidence = CONFIDENCE if kind == "softmax" else 1 - (1 - CONFIDENCE) / 2  # "yes" and "no" of each label
    methods: dict[str, Callable[[Judged, Judged], float | None]] = {
        "bertune": lambda pilot, rows: fit_guarantee(pilot, rows, max_error, confidence).threshold,
        "naive": lambda pilot, rows: naive_threshold(rows, max_error),
        "mapie": lambda pilot, rows: of_mapie(rows, max_error, confidence),
    }
    totals = {method: {"violated": 0, "answered": 0.0, "none": 0} for method in methods}
    worst: dict[str, dict[str, int]] = {method: {} for method in methods}
    num_fits = 0
    for resample in range(resamples):
        random = np.random.default_rng([resample, size])
        drawn = random.integers(0, len(pool.gold), size)
        strata = pool.gold[drawn].tolist() if kind == "softmax" else [None] * size
        pilot, testing = divide([None] * size, strata, (1 / 3, 2 / 3), resample)
        of_pilot, of_test = drawn[pilot], drawn[testing]
        questions = answers(pool, Terms(kind, pool.logits_NC[of_pilot], pool.gold[of_pilot]))
        violated: dict[str, set[str]] = {method: set() for method in methods}
        for question, (confidence_N, is_wrong_N, is_asked_N) in questions.items():
            label = question.rpartition(":")[0]

            def judged(
                rows: Any, asked: Any = is_asked_N, sure: Any = confidence_N, wrong: Any = is_wrong_N
            ) -> Judged:
                kept = rows[asked[rows]]
                return Judged(sure[kept], wrong[kept], np.arange(len(kept)))

            if not is_asked_N[of_test].any():
                continue
            num_fits += 1
            for method, fit in methods.items():
                threshold = fit(judged(of_pilot), judged(of_test))
                total = totals[method]
                if threshold is None:
                    total["none"] += 1
                    continue
                is_answered_N = is_asked_N & (confidence_N >= threshold)
                total["answered"] += is_answered_N.sum() / is_asked_N.sum()
                if is_answered_N.any() and is_wrong_N[is_answered_N].mean() > max_error:
                    violated[method].add(label)
        for method, labels in violated.items():
            totals[method]["violated"] += len(labels)
            for label in labels:
                worst[method][label] = worst[method].get(label, 0) + 1
    guarantees = 1 if kind == "softmax" else len(pool.labels)
    return {
        "set": name,
        "max_error": max_error,
        "confidence": CONFIDENCE,
        "calibration_rows": size,
        "pool": len(pool.gold),
        "resamples": resamples,
        "guarantees": guarantees,
        "methods": {
            method: {
                # Of the guarantees: one per resample, or one per label and resample ("yes" and "no"
                # together).
                "violated": total["violated"] / (resamples * guarantees),
                "violated_worst_label": max(worst[method].values(), default=0) / resamples,
                "answered": total["answered"] / num_fits,
                "none": total["none"] / num_fits,
            }
            for method, total in totals.items()
        },
    }


def page(results: list[dict[str, Any]]) -> str:
    """The section of docs/results.md."""
    lines = [
        "## Decisions with a guarantee",
        "",
        f"How often the error rate among the answers exceeds `decide.max_error`, over {RESAMPLES} resamples "
        "of the calibration rows. The guarantee allows 5%. The calibration rows are drawn with replacement "
        "from a pool of rows that the model (MiniLM-L6) was not trained on, so that the error rate on the "
        "whole pool is the true one. A third of the calibration rows is for the temperature and the order "
        "of the tests. *Naive* is the lowest threshold with an observed error rate of at most the target; "
        "MAPIE 1.6 controls the precision of the same scores on the same rows with its defaults "
        "(Bonferroni-Holm). GoEmotions has one guarantee per label; *worst* is the label with the most "
        "violations. *Answered* is the mean share of inputs answered without review, 0 where no share "
        "qualifies.",
        "",
        "| data set | max. error | calibration rows | violated: bertune | naive | MAPIE | worst label: "
        "bertune | answered: bertune | naive | MAPIE |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        of = result["methods"]
        worst = "" if result["set"] != "goemotions" else f"{of['bertune']['violated_worst_label']:.1%}"
        cells = [
            SETS[result["set"]].title,
            f"{result['max_error']:.0%}",
            f"{result['calibration_rows']:,}",
            f"**{of['bertune']['violated']:.1%}**",
            f"{of['naive']['violated']:.1%}",
            f"{of['mapie']['violated']:.1%}",
            worst,
            f"**{of['bertune']['answered']:.1%}**",
            f"{of['naive']['answered']:.1%}",
            f"{of['mapie']['answered']:.1%}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    command = "BERTUNE_DATA=DATA python benchmarks/guarantee.py --cache FOLDER"
    return "\n".join([*lines, "", "```", command, "```"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--cache", type=Path, required=True, help="folder for the outputs of the models")
    parser.add_argument("--resamples", type=int, default=RESAMPLES)
    options = parser.parse_args()
    results = []
    for name, max_error, size in CASES:
        started = time.perf_counter()
        results.append(run(name, max_error, size, pool_of(name, options.cache), options.resamples))
        print(json.dumps(results[-1]), f"{time.perf_counter() - started:.0f} s", flush=True)
    if options.resamples == RESAMPLES:
        RESULT.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
        replace_block("guarantee", page(results))


if __name__ == "__main__":
    main()
