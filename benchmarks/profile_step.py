"""Profiles a training step, prediction and a whole command.

    BERTUNE_DATA=DATA python benchmarks/profile_step.py

Runs torch's profiler over a complete training run (`bertune.training.fit`), sums the self time of operations
by kind, and writes benchmarks/results/profile.json, which is shown in docs/benchmarks.md. The profiler itself
slows a step down by a few percent.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from suite import BY_NAME, items_of
from torch.profiler import ProfilerActivity, profile

from bertune import api
from bertune.allocator import tune_allocator
from bertune.bench.environment import machine, versions
from bertune.bench.job import LABEL_COLUMN, TEXT_COLUMNS, spread, write_items
from bertune.source import resolve_source
from bertune.training.events import Stepped
from bertune.training.fit import train_source

RESULT = Path(__file__).parent / "results" / "profile.json"
KINDS = {
    "products": ("aten::mm", "aten::addmm", "aten::bmm", "aten::baddbmm", "mkldnn::_linear_pointwise"),
    "optimizer": ("aten::_fused_adamw_", "aten::linalg_vector_norm"),
    "casts and copies": ("aten::copy_", "aten::_to_copy", "aten::cat"),
    "softmax": ("aten::_softmax", "aten::_softmax_backward_data", "aten::amax", "aten::exp_"),
    "GELU": ("aten::gelu", "aten::gelu_backward"),
    "layer norm": ("aten::native_layer_norm", "aten::native_layer_norm_backward"),
}
SKIPPED, STEPS = 8, 20


def kinds_of(found: profile, seconds: float, count: int) -> dict[str, Any]:
    """Mean milliseconds by kind over `count` repetitions that took `seconds` in total."""
    by_kind: dict[str, float] = defaultdict(float)
    calls = 0
    kind_of = {name: kind for kind, names in KINDS.items() for name in names}
    for event in found.key_averages():
        by_kind[kind_of.get(event.key, "other small operations")] += event.self_cpu_time_total / 1e3 / count
        calls += event.count
    total = 1e3 * seconds / count
    outside = total - sum(by_kind.values())
    return {
        "milliseconds": round(total, 2),
        "kinds": {kind: round(value, 2) for kind, value in sorted(by_kind.items(), key=lambda i: -i[1])}
        | {"between operations": round(max(0.0, outside), 2)},
        "operations": round(calls / count),
    }


def of_training(name: str, folder: Path) -> dict[str, Any]:
    """Profiles a training step of a benchmark of the suite."""
    benchmark = BY_NAME[name]
    recipe, items = benchmark.recipe, items_of(benchmark.data)
    batch_size = recipe.get("batch_size", 32)
    texts = folder / f"{name}.jsonl"
    write_items(texts, spread(items, (SKIPPED + STEPS + 8) * batch_size))
    overrides = {
        "data": {"text": list(TEXT_COLUMNS[len(items[0][0])]), "label": LABEL_COLUMN},
        "model": {"name": "minilm", "max_length": recipe["max_length"]},
        "train": {"batch_size": batch_size},
    }
    source = resolve_source(str(texts), overrides)
    training = train_source(source, folder / name)
    assert isinstance(training, Generator)
    with closing(training) as events:
        steps = (event for event in events if isinstance(event, Stepped))
        _take(steps, SKIPPED)
        with profile(activities=[ProfilerActivity.CPU]) as found:
            started = time.perf_counter()
            _take(steps, STEPS)
            seconds = time.perf_counter() - started
    return kinds_of(found, seconds, STEPS)


def of_prediction(folder: Path) -> dict[str, Any]:
    """Profiles the prediction of a thousand CoLA sentences."""
    items = spread(items_of("cola"), 1000)
    write_items(folder / "texts.jsonl", items)
    overrides = {"model.name": "minilm", "train.epochs": 1, "train.max_examples": 64}
    run = api.train("cola", settings=overrides, out=folder / "predict")
    model, texts = api.load(run), [texts[0] for texts, _ in items]
    model.predict(texts)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        started = time.perf_counter()
        model.predict(texts)
        seconds = time.perf_counter() - started
    return kinds_of(found, seconds, 1)


def of_command(folder: Path) -> dict[str, Any]:
    """The seconds of `bertune train cola` by stage, from process start to exit."""
    out = folder / "command"
    settings = ["cola", "model.name=minilm", "train.epochs=1", "--out", str(out)]
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "bertune", "train", *settings], check=True, capture_output=True)
    wall = time.perf_counter() - started
    timings = json.loads((out / "manifest.json").read_text(encoding="utf-8"))["timings"]
    training, evaluation = timings["train_seconds"], timings["evaluate_seconds"]
    stages = {
        "steps": training,
        "evaluation of the epoch": evaluation,
        "reading, tokenizing, loading, final scores with intervals, saving": (
            timings["total_seconds"] - training - evaluation
        ),
        "start, imports, report": wall - timings["total_seconds"],
    }
    return {"seconds": round(wall, 2), "stages": {name: round(value, 2) for name, value in stages.items()}}


def _take(steps: Iterator[Stepped], count: int) -> None:
    for _ in range(count):
        next(steps)


def main() -> None:
    """Runs all profiles and writes the file."""
    tune_allocator()  # as the commands do
    with tempfile.TemporaryDirectory(prefix="bertune-profile-") as folder:
        result = {
            "command": "BERTUNE_DATA=DATA python benchmarks/profile_step.py",
            "machine": machine(),
            "versions": {key: versions()[key] for key in ("torch", "bertune")},
            "threads": torch.get_num_threads(),
            "work": {
                "a step of cola": of_training("cola", Path(folder)),
                "a step of imdb256": of_training("imdb256", Path(folder)),
                "predicting 1,000 sentences of CoLA": of_prediction(Path(folder)),
            },
            "whole command": of_command(Path(folder)),
        }
    RESULT.write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(json.dumps(result["work"], indent=1), file=sys.stderr)


if __name__ == "__main__":
    main()
