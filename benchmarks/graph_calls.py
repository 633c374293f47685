"""Compare the time per call of two variants of a graph, each measured in new processes, in turn."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bertune.metadata import recorded_metadata

LENGTHS = (8, 16, 32, 64, 128)  # tokens
ROUNDS = 5
CALLS = 100  # per length and round
_WARM_UP = 10


def graph_of(folder: Path) -> tuple[Path, int]:
    """The graph of an export, and the size of its vocabulary. Exits for other folders."""
    metadata = recorded_metadata(folder)
    if metadata is None or metadata.export is None or metadata.export.graph is None:
        raise SystemExit(f"{folder} is not an export with a graph")
    return folder / metadata.export.graph, metadata.export.vocab_size


def random_inputs(session: Any, vocab_size: int, shape: tuple[int, int]) -> dict[str, Any]:
    """Random inputs of a graph, without padding."""
    ids = np.random.default_rng(0).integers(0, vocab_size, shape)
    known = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
    return {given.name: known[given.name] for given in session.get_inputs()}


def milliseconds(session: Any, vocab_size: int) -> dict[int, float]:
    """The median time of a call with one sequence, for each length."""
    found = {}
    for length in LENGTHS:
        inputs = random_inputs(session, vocab_size, (1, length))
        taken = []
        for _ in range(_WARM_UP + CALLS):
            start = time.perf_counter()
            session.run(None, inputs)
            taken.append(1000 * (time.perf_counter() - start))
        found[length] = median(taken[_WARM_UP:])
    return found


def compare(variants: tuple[str, str], command: Callable[[str], list[str]]) -> None:
    """Run the command of each variant in turn, and print a table of the times that they print as JSON.

    The ratio (first / second) is the median of the rounds, with the lowest and the highest.
    """
    found: dict[str, list[dict[str, float]]] = {variant: [] for variant in variants}
    for number in range(ROUNDS):
        for variant in variants if number % 2 else variants[::-1]:
            done = subprocess.run((sys.executable, *command(variant)), stdout=subprocess.PIPE, check=True)
            found[variant].append(json.loads(done.stdout))
    first, second = variants
    print(f"| tokens | {first}, ms | {second}, ms | {first} / {second} |\n|---:|---:|---:|---:|")
    for length in map(str, LENGTHS):
        firsts, seconds = ([one[length] for one in found[variant]] for variant in variants)
        ratios = [a / b for a, b in zip(firsts, seconds, strict=True)]
        print(
            f"| {length} | {median(firsts):.2f} | {median(seconds):.2f} | {median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f}) |"
        )
