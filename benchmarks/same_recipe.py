"""How often `bertune compare` finds a difference: between two seeds, and between all and half of the data.

    BERTUNE_DATA=DATA python benchmarks/same_recipe.py

For each choice of rows, three models are trained on texts of SST-2: two seeds of one recipe, and the first
seed on half of the texts. Test sets are drawn from the predictions for other texts, and the models are
compared on each, as `bertune compare` does.
"""

import argparse
import json
import os
import random
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bertune
from bertune.metrics import classification, resampling
from bertune.metrics.arrays import FloatArray
from bertune.metrics.comparison import adjusted, differences, holm

RESULT = Path(__file__).parent / "results" / "compare.json"
CHOICES = (1, 2, 3)  # of rows
SIZES = (500, 1000)  # rows of a test set
NUM_SETS = 100  # test sets of each size
NUM_TRAIN, NUM_VALIDATION, NUM_POOL = 2000, 500, 4000
RECIPE = {"model.name": "minilm", "train.freeze": 4, "train.epochs": 2}
LABELS = ("0", "1")
PRIMARY = "mcc"

Predicted = tuple[NDArray[np.int64], FloatArray]  # labels [N] and probabilities [N, 2]


def choose(choice: int, folder: Path) -> dict[str, Path]:
    """Write training, validation and test rows, drawn at random from the training rows of SST-2."""
    with (Path(os.environ["BERTUNE_DATA"]) / "sst2" / "train.tsv").open(encoding="utf-8") as file:
        header, *rows = file.read().splitlines()
    drawn = random.Random(choice).sample(rows, NUM_TRAIN + NUM_VALIDATION + NUM_POOL)
    parts = {
        "train": drawn[:NUM_TRAIN],
        "half": drawn[: NUM_TRAIN // 2],
        "validation": drawn[NUM_TRAIN:][:NUM_VALIDATION],
        "test": drawn[NUM_TRAIN + NUM_VALIDATION :],
    }
    for name, part in parts.items():
        (folder / f"{name}.tsv").write_text("\n".join([header, *part]) + "\n", encoding="utf-8")
    return {name: folder / f"{name}.tsv" for name in parts}


def predicted(files: dict[str, Path], train: str, seed: int, out: Path) -> Predicted:
    """Train, and return what the run predicted for the test rows."""
    settings: dict[str, Any] = {
        **RECIPE,
        "data.validation": str(files["validation"]),
        "data.test": str(files["test"]),
        "train.seed": seed,
        "train.baselines": False,  # to save time
        "train.explain": False,
    }
    run = bertune.train(files[train], settings=settings, out=out)
    lines = list(run.predictions("test"))
    shares = np.array([[line["probabilities"][label] for label in LABELS] for line in lines])
    return np.array([LABELS.index(line["gold"]) for line in lines]), shares


def compared(one: Predicted, other: Predicted, num_rows: int) -> dict[str, Any]:
    """Count test sets in which the primary score, any score, or any score by Holm's method alone differs."""
    draw = np.random.default_rng(num_rows)
    counts = dict.fromkeys(("primary_different", "any_different", "any_different_by_holm"), 0)
    for _ in range(NUM_SETS):
        rows = draw.integers(len(one[0]), size=num_rows)
        both = [
            classification.score(gold[rows], iter(shares[rows]), LABELS, 1) for gold, shares in (one, other)
        ]
        again = [resampling.resampled(scores, np.arange(num_rows), lambda rows: {}) for scores in both]
        changes = differences(both[0].values, both[1].values, (again[0], again[1]))
        p_values = {name: change.p for name, change in changes.items() if change is not None}
        (found,) = adjusted([p_values], PRIMARY)
        counts["primary_different"] += int(found[PRIMARY] < 0.05)
        counts["any_different"] += int(min(found.values()) < 0.05)
        counts["any_different_by_holm"] += int(min(holm(list(p_values.values()))) < 0.05)
    return {"rows": num_rows, "test_sets": NUM_SETS, "scores": len(p_values), **counts}


def measured(choice: int, folder: Path) -> list[dict[str, Any]]:
    """Both comparisons for one choice of rows."""
    files = choose(choice, folder)
    first = predicted(files, "train", 1, folder / "first")
    others = {
        "two seeds of one recipe": predicted(files, "train", 2, folder / "second"),
        "half of the data": predicted(files, "half", 1, folder / "halved"),
    }
    found = []
    for kind, other in others.items():
        mcc = [
            classification.score(gold, iter(shares), LABELS, 1).values[PRIMARY]
            for gold, shares in (first, other)
        ]
        for num_rows in SIZES:
            found.append({"choice": choice, "runs": kind, "mcc": mcc, **compared(first, other, num_rows)})
            print(json.dumps(found[-1]), flush=True)
    return found


def main() -> None:
    """Train the models of every choice of rows, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--choices", nargs="*", type=int, default=list(CHOICES))
    parser.add_argument("--results", type=Path, default=RESULT)
    options = parser.parse_args()
    results = []
    for choice in options.choices:
        with tempfile.TemporaryDirectory() as folder:
            results += measured(choice, Path(folder))
        options.results.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
