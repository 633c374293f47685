"""The time of everything around a training: audit, calibration, intervals, slices, baselines, error
analysis and report, as a share of the training time on CoLA. Both are CPU time of the same run, so that other
load does not matter. Training is what no listed step, and no evaluation or saving, takes. Needs BERTUNE_DATA.

    BERTUNE_DATA=DATA python benchmarks/trust_cost.py --work FOLDER
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from results_blocks import replace_block

import bertune as bt
from bertune.training import auditing, finish, preparing

RESULT = Path(__file__).parent / "results" / "trust_cost.json"
_NOT_COUNTED = {"load_kept_weights", "evaluate_splits", "save_model", "record_cost"}  # any trainer does these
NAMES = {
    "audit_splits": "audit",
    "calibrate": "calibration",
    "compute_intervals": "intervals of all scores",
    "score_slices": "scores of slices",
    "compare_with_simple_models": "simple models",
    "write_predictions": "predictions, label errors and explanations",
    "report": "report",
}


@contextmanager
def timed(seconds: dict[str, float]) -> Iterator[None]:
    """Measure the audit and the final steps of the trainings inside."""

    def measured(function: Callable[..., Any], name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            started = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                seconds[name] = seconds.get(name, 0.0) + time.process_time() - started

        return call

    steps = tuple(measured(step, step.__name__) for step in finish.FINAL_STEPS)
    audit = measured(auditing.audit_splits, "audit_splits")
    with (
        mock.patch.object(finish, "FINAL_STEPS", steps),
        mock.patch.object(preparing, "audit_splits", audit),
    ):
        yield


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True, help="folder for the run")
    options = parser.parse_args()
    folder = Path(os.environ["BERTUNE_DATA"]) / "cola"
    settings = {
        "data.train": str(folder / "in_domain_train.tsv"),
        "data.test": str(folder / "in_domain_dev.tsv"),
        "model.name": "minilm",
    }
    seconds: dict[str, float] = {}
    started = time.process_time()
    with timed(seconds):
        run = bt.train("cola", settings=settings, out=options.work / "cola")
    total = time.process_time() - started
    # `bertune.train` has written the report, which is measured by writing it again.
    started = time.process_time()
    bt.report(run)
    seconds["report"] = time.process_time() - started
    training = total - sum(seconds.values())
    counted = {name: round(s, 2) for name, s in seconds.items() if name not in _NOT_COUNTED}
    result = {
        "rows": run.manifest["data"]["splits"]["train"]["rows"],
        "train_seconds": round(training, 1),
        "seconds": counted,
        "share": round(sum(counted.values()) / training, 4),
        "report_bytes": (run.path / "report" / "index.html").stat().st_size,
    }
    print(json.dumps(result))
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    replace_block("trust_cost", page(result))


def page(result: dict[str, Any]) -> str:
    """The section of docs/results.md."""
    train = result["train_seconds"]
    rows = [
        f"| {NAMES.get(name, name)} | {seconds:.1f} s | {seconds / train:.1%} |"
        for name, seconds in result["seconds"].items()
    ]
    total = sum(result["seconds"].values())
    return "\n".join(
        [
            "## The cost of audit, baselines, intervals, calibration and report",
            "",
            f"The default run on CoLA ({result['rows']:,} training sentences, 3 epochs, MiniLM-L6), "
            "CPU time of one run on one core. Its report has "
            f"{result['report_bytes'] / 1e6:.1f} MB.",
            "",
            "| step | time | share of the training time |",
            "|---|---|---|",
            f"| training | {train:.1f} s | |",
            *rows,
            f"| **all of them** | **{total:.1f} s** | **{result['share']:.1%}** |",
            "",
            "```",
            "BERTUNE_DATA=DATA OMP_NUM_THREADS=1 python benchmarks/trust_cost.py --work FOLDER",
            "```",
        ]
    )


if __name__ == "__main__":
    main()
