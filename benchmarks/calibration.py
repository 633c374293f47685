"""Calibration before and after temperature scaling, on the test rows of published data sets, over seeds.

Each model is trained with default settings except for learning rate and epochs. A third of the validation
rows, which selects no checkpoint, fits the temperature. Needs BERTUNE_DATA.

    BERTUNE_DATA=DATA python benchmarks/calibration.py
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from results_blocks import replace_block

Rows = list[tuple[str, str]]
RESULT = Path(__file__).parent / "results" / "calibration.json"
_COMMANDS = [f"BERTUNE_DATA=DATA python benchmarks/calibration.py{option}" for option in ("", " --frozen")]
SEEDS = (1, 2, 3)
ENOUGH = 0.02  # an expected calibration error below this need not be halved


def _cola(data: Path) -> tuple[Rows, Rows]:
    def rows(name: str) -> Rows:
        lines = (data / "cola" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()
        return [(parts[3], parts[1]) for parts in (line.split("\t") for line in lines)]

    return rows("in_domain_train"), rows("in_domain_dev") + rows("out_of_domain_dev")


def _clinc150(data: Path) -> tuple[Rows, Rows]:
    content = json.loads((data / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    rows = {part: [(text, label) for text, label in content[part]] for part in ("train", "test")}
    return rows["train"], rows["test"]


def _banking77(data: Path) -> tuple[Rows, Rows]:
    found = []
    for name in ("train", "test"):
        with (data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            found.append([(row["text"], row["category"]) for row in csv.DictReader(file)])
    return found[0], found[1]


SETS: dict[str, tuple[str, Callable[[Path], tuple[Rows, Rows]], dict[str, Any]]] = {
    "cola": ("CoLA", _cola, {"train.lr": 1e-4, "train.epochs": 4}),
    "clinc150": ("CLINC150, in scope", _clinc150, {"train.lr": 3e-4, "train.epochs": 3}),
    "banking77": ("Banking77", _banking77, {"train.lr": 3e-4, "train.epochs": 5}),
}


# Only the head is trained, which takes a minute instead of ten.
FROZEN = {"train.freeze": "encoder", "train.lr": 2e-2, "train.epochs": 5}


def measured(name: str, seed: int, is_frozen: bool, encoder: str) -> dict[str, Any]:
    """Train with one seed, and return the recorded measures on the test rows."""
    import bertune

    _, read, settings = SETS[name]
    train, test = read(Path(os.environ["BERTUNE_DATA"]))
    with tempfile.TemporaryDirectory() as folder:
        files = {}
        for part, rows in (("train", train), ("test", test)):
            files[part] = Path(folder) / f"{part}.jsonl"
            with files[part].open("w", encoding="utf-8") as lines:
                lines.writelines(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
        given = {"model.name": encoder, "data.test": str(files["test"]), "train.seed": seed}
        given |= {"train.baselines": False, "train.explain": False}  # to save time
        given |= FROZEN if is_frozen else settings
        run = bertune.train(files["train"], settings=given, out=Path(folder) / "run")
        manifest = run.manifest
    record = manifest["calibration"]
    assert record["split"] == "test"
    return {
        "set": name,
        "seed": seed,
        "encoder": "frozen" if is_frozen else "fine-tuned",
        "accuracy": manifest["scores"]["test"]["accuracy"],
        "temperature": record["temperatures"][0],
        "calibration_rows": record["rows"],
        "test_rows": len(test),
        "device": manifest["machine"]["device_name"],
        "before": record["before"],
        "after": record["after"],
    }


def page(results: list[dict[str, Any]]) -> str:
    """The section of docs/results.md."""
    lines = [
        "## Calibration",
        "",
        "Expected calibration error (10 bins) and Brier score (summed over labels) on the test rows, before "
        f"and after temperature scaling: mean and range over the seeds that were run. The target is half the "
        f"error, or less than {ENOUGH:g}.",
        "",
        "| data set | encoder | test rows | rows for the temperature | accuracy | temperature | ECE before "
        "| ECE after | Brier before | Brier after | target met |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    kinds = [(name, encoder) for name in SETS for encoder in ("fine-tuned", "frozen")]
    for name, encoder in kinds:
        of = [r for r in results if (r["set"], r["encoder"]) == (name, encoder)]
        if not of:
            continue
        met = sum(r["after"]["ece"] <= max(ENOUGH, r["before"]["ece"] / 2) for r in of)
        cells = [
            SETS[name][0],
            encoder,
            f"{of[0]['test_rows']:,}",
            f"{of[0]['calibration_rows']:,}",
            _spread([r["accuracy"] for r in of]),
            _spread([r["temperature"] for r in of]),
            _spread([r["before"]["ece"] for r in of]),
            f"**{_spread([r['after']['ece'] for r in of])}**",
            _spread([r["before"]["brier"] for r in of]),
            _spread([r["after"]["brier"] for r in of]),
            f"{met} of {len(of)} seeds",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, "", "```", *_COMMANDS, "```"])


def _spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sets", nargs="*", default=list(SETS), choices=list(SETS))
    parser.add_argument("--frozen", action="store_true", help="train only the head")
    parser.add_argument("--seeds", nargs="*", type=int, default=list(SEEDS))
    parser.add_argument("--model", default="minilm", help="name or folder of the encoder")
    parser.add_argument("--results", type=Path, default=RESULT)
    options = parser.parse_args()
    stored: Path = options.results
    results = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else []
    for seed in options.seeds:
        for name in options.sets:
            new = measured(name, seed, options.frozen, options.model)
            print(json.dumps(new), flush=True)
            results = [
                r for r in results if any(r[key] != new[key] for key in ("set", "seed", "encoder"))
            ] + [new]
            results.sort(key=lambda r: (list(SETS).index(r["set"]), r["seed"]))
            stored.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    if stored == RESULT:
        replace_block("calibration", page(results))


if __name__ == "__main__":
    main()
