"""Compare a row-wise split with one that keeps the rows of a query together, on the same rows and seeds.

    BERTUNE_DATA=FOLDER python benchmarks/group_splits.py [--rows 4000] [--seeds 3]

The data are the first training rows of WikiQA (Yang et al. 2015) as pairs of a question and a sentence
with a label, which is the shape of the CORD-19 tutorial: classification, a random split of the rows. 30% of
the rows are the test split, 10% select the checkpoint. Two budgets: the encoder frozen as in the tutorial, or
its two upper layers trained. The results are added to benchmarks/results/group_splits.json.
"""

import argparse
import json
import os
import statistics
import tempfile
from pathlib import Path
from typing import Any

import bertune as bt

RESULTS = Path(__file__).parent / "results" / "group_splits.json"
SCORES = ("roc_auc", "mcc", "log_loss")
BUDGETS: dict[str, dict[str, Any]] = {
    "frozen encoder, 4 epochs": {"train.freeze": "encoder", "train.epochs": 4, "train.lr": 1e-3},
    "upper 2 layers, 3 epochs": {"train.freeze": 4, "train.epochs": 3, "train.lr": 1e-4},
}
SPLITS: dict[str, dict[str, Any]] = {"row-wise": {}, "grouped": {"data.group": "0"}}


def main() -> None:
    """Train each budget with each split and seed, and print the table for docs/recipes.md."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--rows", type=int, default=4000)
    arguments.add_argument("--seeds", type=int, default=3)
    given = arguments.parse_args()
    results = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}
    for seed in range(1, given.seeds + 1):
        for budget, settings in BUDGETS.items():
            for name, splitting in SPLITS.items():
                key = f"{budget}/{given.rows} rows/{name}/seed {seed}"
                if key not in results:
                    results[key] = measured({**settings, **splitting}, given.rows, seed)
                    RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(table(results, given.rows, given.seeds))


def measured(settings: dict[str, Any], rows: int, seed: int) -> dict[str, float]:
    """The scores on the test rows of one training."""
    file = Path(os.environ["BERTUNE_DATA"]) / "wikiqa" / "train.txt"
    reading = {"data.text": "0,1", "data.label": "2", "data.header": False, "data.quoting": False}
    fractions = {"data.test_fraction": 0.3, "data.validation_fraction": 0.1}
    training = {"model.name": "minilm", "train.max_examples": rows, "train.seed": seed}
    chosen = {**reading, **fractions, **training, "train.best_metric": "roc_auc", **settings}
    with tempfile.TemporaryDirectory() as folder:
        run = bt.train(str(file), settings=chosen, out=Path(folder) / "run")
        return {name: run.scores[name] for name in SCORES}


def table(results: dict[str, dict[str, float]], rows: int, seeds: int) -> str:
    """The means over the seeds, and the mean and standard deviation of the paired differences."""
    lines = ["| training | score | row-wise split | grouped by query | difference |", "|---|---|---|---|---|"]
    for budget in BUDGETS:
        for score in SCORES:
            sides = {
                name: [results[f"{budget}/{rows} rows/{name}/seed {s}"][score] for s in range(1, seeds + 1)]
                for name in SPLITS
            }
            paired = [a - b for a, b in zip(sides["row-wise"], sides["grouped"], strict=True)]
            means = [f"{statistics.fmean(values):.3f}" for values in sides.values()]
            spread = f" ± {statistics.stdev(paired):.3f}" if seeds > 1 else ""
            cells = (budget, score, *means, f"{statistics.fmean(paired):+.3f}{spread}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
