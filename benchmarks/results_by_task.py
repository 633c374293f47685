"""Trains every task on real data and writes docs/results.md, with published scores for comparison.

    BERTUNE_DATA=DATA python benchmarks/results_by_task.py            missing results, and the page
    BERTUNE_DATA=DATA python benchmarks/results_by_task.py --only rte stsb --full
    python benchmarks/results_by_task.py --render                     the page only

Each result is stored as a small JSON file, and existing results are not computed again. results_sets.py
limits the data and epochs of each run; `--full` uses complete files and the published number of epochs, and
its results take precedence on the page.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from quality import bertune_program, data_folder, run_checked, shown, write_whole
from results_blocks import blocks
from results_page import page
from results_sets import MINILM, SETS
from slices import place

from bertune.bench.environment import machine, versions

HERE = Path(__file__).parent
RESULTS, PAGE = HERE / "results" / "tasks", HERE.parent / "docs" / "results.md"
VOCABULARY = "vocab/bert-base-chinese/vocab.txt"


def build_small_encoder(vocabulary: Path, folder: Path) -> Path:
    """Writes the configuration and vocabulary of a BERT with 2 layers of width 256, without weights."""
    from transformers import BertConfig

    words = vocabulary.read_text(encoding="utf-8").rstrip("\n").split("\n")
    config = BertConfig(
        vocab_size=len(words),
        hidden_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=512,
    )
    config.save_pretrained(folder)
    shutil.copyfile(vocabulary, folder / "vocab.txt")
    return folder


def result_path(results: Path, name: str, is_full: bool) -> Path:
    """The file of one result."""
    return results / f"{name}{'-full' if is_full else ''}.json"


def run_one(name: str, is_full: bool, folder: Path) -> dict[str, Any]:
    """Trains one data set and returns the result for the page. Raises RuntimeError if bertune fails."""
    row, data = SETS[name], data_folder()
    parts = {split: part.in_full() if is_full else part for split, part in row.parts.items()}
    files = {split: place(part, data, folder, split) for split, part in parts.items()}
    encoder = "minilm"
    if row.encoder != MINILM:
        encoder = str(build_small_encoder(data / VOCABULARY, folder / "encoder"))
    settings = [setting.replace("{data}", str(data)) for setting in row.settings]
    arguments: list[str | Path] = [
        "train",
        files["train"],
        *(f"data.{split}={path}" for split, path in files.items() if split != "train"),
        f"model.name={encoder}",
        f"train.epochs={row.full_epochs if is_full else row.epochs:g}",
        *settings,
        *(row.full_settings if is_full else ()),
        "--out",
    ]
    out = folder / "run"
    started = time.perf_counter()
    run_checked([bertune_program(), *arguments, out, "--json"])
    seconds = time.perf_counter() - started
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    split = row.score.partition(".")[0]
    shown_arguments = [str(word).replace(str(folder / "encoder"), "ENCODER") for word in arguments]
    return {
        "set": name,
        "full": is_full,
        "scores": {split: manifest["scores"][split]},
        "rows": {used: part["rows"] for used, part in manifest["data"]["splits"].items()},
        "epochs": row.full_epochs if is_full else row.epochs,
        "max_length": manifest["max_length"]["value"],
        "parameters": manifest["model"]["parameters"],
        "seconds": round(seconds, 1),
        "command": shown(["bertune", *shown_arguments, "RUN", "--json"], files),
        "machine": machine(),
        "threads": manifest["machine"]["threads"],
        "versions": versions(),
        "measured": datetime.date.today().isoformat(),
    }


def load(results: Path) -> dict[str, dict[str, Any]]:
    """The results by data set; full results take precedence."""
    found = {}
    for name in SETS:
        for is_full in (False, True):
            path = result_path(results, name, is_full)
            if path.is_file():
                found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def main() -> int:
    """Computes missing results and writes the page; returns 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--only", nargs="+", choices=list(SETS), default=list(SETS))
    parser.add_argument("--full", action="store_true", help="complete files and published number of epochs")
    parser.add_argument("--render", action="store_true", help="only write the page")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE, help="page to write")
    options = parser.parse_args()
    sound = True
    for name in () if options.render else options.only:
        path = result_path(options.results, name, options.full)
        if path.exists():
            continue
        try:
            with tempfile.TemporaryDirectory() as folder:
                found = run_one(name, options.full, Path(folder))
        except (RuntimeError, OSError, ValueError, LookupError) as error:
            print(f"{name} failed: {error}", file=sys.stderr, flush=True)
            sound = False
            continue
        write_whole(path, {**found, "load_average_after": round(os.getloadavg()[0], 2)})
        print(f"{name}: {found['seconds']:.0f} s, {json.dumps(found['scores'])}", flush=True)
    others = blocks(options.page.read_text(encoding="utf-8")) if options.page.is_file() else ""
    options.page.write_text(page(load(options.results)) + others, encoding="utf-8")
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
