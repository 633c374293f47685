"""The time of a graph for short texts, with its weights in pages of 4 KB and in huge pages.

    python benchmarks/huge_pages.py EXPORT

EXPORT is an export with a graph. In each round, both are measured in turn, each in a new process with one
thread and one sequence per call. Prints a table: the medians of the rounds, and the lowest and highest ratio
of a round.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from unittest import mock

import numpy as np

from bertune.metadata import recorded_metadata
from bertune.predict import onnx_backend
from bertune.predict.onnx_backend import GraphMachine, open_session

SMALL, HUGE = "small", "huge"  # kinds of pages
LENGTHS = (8, 16, 32, 64, 128)  # tokens
ROUNDS = 5
CALLS = 100  # per length and round
_WARM_UP = 10


def milliseconds(folder: Path, kind: str) -> dict[int, float]:
    """The median time of a call for each length, with pages of a kind."""
    metadata = recorded_metadata(folder)
    if metadata is None or metadata.export is None or metadata.export.graph is None:
        raise SystemExit(f"{folder} is not an export with a graph")
    without = mock.patch.object(onnx_backend, "huge_pages", contextlib.nullcontext)
    with contextlib.nullcontext() if kind == HUGE else without:
        session = open_session(folder / metadata.export.graph, GraphMachine(threads=1))
    found = {}
    for length in LENGTHS:
        ids = np.random.default_rng(0).integers(0, metadata.export.vocab_size, (1, length))
        known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
        inputs = {given.name: known[given.name] for given in session.get_inputs()}
        taken = []
        for _ in range(_WARM_UP + CALLS):
            start = time.perf_counter()
            session.run(None, inputs)
            taken.append(1000 * (time.perf_counter() - start))
        found[length] = median(taken[_WARM_UP:])
    return found


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--only", choices=(SMALL, HUGE), help="measure one kind once, and print JSON")
    options = parser.parse_args()
    if options.only:
        print(json.dumps(milliseconds(options.export, options.only)))
        return
    found: dict[str, list[dict[str, float]]] = {SMALL: [], HUGE: []}
    for number in range(ROUNDS):
        for kind in (SMALL, HUGE) if number % 2 else (HUGE, SMALL):
            command = (sys.executable, __file__, str(options.export), "--only", kind)
            done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
            found[kind].append(json.loads(done.stdout))
    print("| tokens | 4 KB, ms | huge pages, ms | 4 KB / huge pages |\n|---:|---:|---:|---:|")
    for length in map(str, LENGTHS):
        small, huge = ([one[length] for one in found[kind]] for kind in (SMALL, HUGE))
        ratios = [a / b for a, b in zip(small, huge, strict=True)]
        print(
            f"| {length} | {median(small):.2f} | {median(huge):.2f} | {median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) |"
        )


if __name__ == "__main__":
    main()
