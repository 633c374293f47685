"""Compares offline prediction with an ONNX export: bertune, and ONNX Runtime called directly with the graph.

    BERTUNE_DATA=FOLDER python benchmarks/runtime.py runs/sst2/export/onnx-int8
    BERTUNE_DATA=FOLDER python benchmarks/runtime.py EXPORT --tokens 512,1024,4096 --rounds 5

Both sides take texts and return probabilities, tokenization included. The direct calls sort the texts by
length and pad batches of 64. Each measurement runs in its own process; the sides alternate, and a round is
flagged if the speed of the machine changed during it. `--tokens` also measures other sizes of
micro-batches.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

from bertune.bench import ratios
from bertune.bench.environment import machine, versions
from bertune.bench.job import Item, Job, spread, write_items
from bertune.bench.runner import Contestant, run_rounds
from bertune.bench.sides import OURS, bertune_prediction, onnx_runtime
from bertune.metadata import recorded_metadata

OUT = Path(__file__).parent / "results" / "runtime.json"
RATE = "examples_per_second"
MOST_TEXTS = {"sst2": 872, "imdb": 300}


def items_of(name: str, data: Path) -> list[Item]:
    """The texts of a data set with their labels, evenly spaced."""
    if name == "sst2":
        with (data / "sst2" / "dev.tsv").open(encoding="utf-8", newline="") as file:
            rows = [tuple(line.rstrip("\n").split("\t")) for line in file][1:]
        items = [((text,), label) for text, label in rows]
    else:
        with gzip.open(data / "imdb" / "test.csv.gz", "rt", encoding="utf-8", newline="") as file:
            items = [((row["text"],), row["label"]) for row in csv.DictReader(file)]
    return spread(items, MOST_TEXTS[name])


def compared(export: Path, name: str, options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """The rates of both sides on the texts of a data set."""
    metadata = recorded_metadata(export)
    if metadata is None or metadata.export is None or metadata.export.graph is None:
        sys.exit(f"{export} is not an ONNX export")
    items = items_of(name, options.data)
    texts = folder / f"{name}.jsonl"
    write_items(texts, items)

    def job(tokens: int | None) -> Path:
        machine = {} if tokens is None else {"micro_batch_tokens": tokens}
        if options.threads:
            machine["threads"] = options.threads
        path = folder / f"{name}-{tokens}.json"
        Job(
            model=str(export), texts=str(texts), held_out=str(texts), num_texts=len(items), num_columns=1,
            labels=metadata.labels, max_length=metadata.max_length, seconds=options.seconds,
            settings={"machine": machine},
        ).write(path)  # fmt: skip
        return path

    hand = onnx_runtime(job(None), export / metadata.export.graph, "by hand")
    sides = [bertune_prediction(job(None)), hand]
    for tokens in options.tokens:
        command = bertune_prediction(job(tokens)).command
        sides.append(Contestant(f"tokens-{tokens}", f"bertune, {tokens} tokens", command))
    environment = {"OMP_NUM_THREADS": str(options.threads)} if options.threads else {}
    rounds = run_rounds(sides, options.rounds, environment, print)
    theirs = ratios.by_round(rounds, hand.key, RATE)
    found: dict[str, Any] = {"texts": len(items), "by hand": theirs}
    for side in sides:
        if side.key != hand.key:
            ours = ratios.by_round(rounds, side.key, RATE)
            found[side.title] = {"rates": ours, "ratio": ratios.ratio(ours, theirs, RATE)}
    found["flagged rounds"] = [r.number for r in rounds if r.is_flagged]
    outcomes = rounds[-1].outcomes
    pairs = zip(*(outcomes[key].numbers["probabilities"] for key in (OURS, hand.key)), strict=True)
    found["largest difference of a probability"] = max(abs(a - b) for a, b in pairs)
    return found


def main() -> None:
    """Measure, and print the results as JSON; store them unless --tokens or --threads is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", type=Path, help="an ONNX export of a classifier of single texts")
    parser.add_argument("--data", type=Path, default=os.environ.get("BERTUNE_DATA"))
    parser.add_argument("--sets", default="sst2,imdb", help="separated by commas: sst2, imdb")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--threads", type=int, default=0, help="0: all cores")
    parser.add_argument("--tokens", default="", help="other sizes of batches to measure, in tokens")
    options = parser.parse_args()
    if options.data is None:
        sys.exit("set BERTUNE_DATA to the folder of the data sets")
    options.data = Path(options.data)
    options.tokens = [int(number) for number in options.tokens.split(",") if number]
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sets.split(","):
            found[name] = compared(options.export.absolute(), name, options, Path(folder))
            print(json.dumps({name: found[name]}, indent=1))
    if not options.tokens and not options.threads:
        kind = options.export.absolute().name
        stored = json.loads(OUT.read_bytes()) if OUT.is_file() else {}
        stored[kind] = {"machine": machine(), "versions": versions(), "sets": found}
        OUT.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
