"""Compares the time of loading and saving between this source tree and an earlier one.

    git worktree add ../before COMMIT
    python benchmarks/loading.py --before ../before --rounds 10

The trees take turns, each in a separate process. Prints the medians, the ratio of paired rounds, and the time
of verifying and writing checksums alone.
"""

import argparse
import inspect
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parents[1]
REPEATS = 5  # per process; the median is reported
TEXTS = [f"the lamp in street {i} is {'broken' if i % 2 else 'bright'}" for i in range(40)]


def timed(work: Callable[[], Any]) -> float:
    """The median seconds of a call."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def prepare(run: Path) -> None:
    """Trains the packaged encoder; loading and saving this run is timed."""
    import bertune as bt

    settings = {"model.name": "minilm", "train.epochs": 1}
    # Earlier trees use another name for the argument.
    name = "settings" if "settings" in inspect.signature(bt.train).parameters else "overrides"
    arguments: dict[str, Any] = {"out": run, name: settings}
    bt.train(TEXTS, ["bad" if i % 2 else "good" for i in range(40)], **arguments)


def measure(run: Path) -> dict[str, float]:
    """Seconds of each operation with the source tree that this process imports."""
    import torch

    try:
        from bertune import saved_model
    except ImportError:  # its name in earlier trees
        from bertune import model_folder as saved_model  # type: ignore[no-redef]
    from bertune.training.checkpoint import Checkpoints, Progress, model_tensors

    loaded = saved_model.load(run / "model")
    tensors = model_tensors(loaded.model)
    moments = {f"{i}.{kind}": torch.zeros_like(t) for i, t in enumerate(tensors.values()) for kind in "mv"}
    with tempfile.TemporaryDirectory(dir=run.parent) as folder:
        plain = without_checksums(run / "model", Path(folder) / "plain")
        checkpoints = Checkpoints(Path(folder) / "checkpoints")
        checkpoints.save_best(1, tensors)
        progress = Progress(1, 1, 1, 0.5, 0, 1.0, 1.0, 1)
        found = {
            "load": timed(lambda: saved_model.load(run / "model")),
            "load a folder without checksums": timed(lambda: saved_model.load(plain)),
            "save": timed(lambda: saved_model.save(Path(folder) / "model", loaded)),
            "checkpoint": timed(lambda: checkpoints.save(progress, tensors, moments)),
        }
        try:
            from bertune import files, metadata
        except ImportError:  # the earlier tree
            return found
        sums = files.sha256_of_all(Path(folder) / "model")
        found["verifying checksums"] = timed(lambda: files.changed_files(Path(folder) / "model", sums))
        found["writing checksums"] = timed(
            lambda: metadata.write_metadata(Path(folder) / "model", loaded.metadata)
        )
        found["syncing the model"] = timed(lambda: unsynced(Path(folder) / "model", files.sync_tree))
    return found


def without_checksums(model: Path, folder: Path) -> Path:
    """A copy of a model in format 1, which both trees load."""
    shutil.copytree(model, folder)
    stored = json.loads((folder / "bertune.json").read_text(encoding="utf-8"))
    kept = {key: value for key, value in stored.items() if key not in ("files", "checksum")}
    (folder / "bertune.json").write_text(json.dumps(kept | {"format": 1}), encoding="utf-8")
    return folder


def unsynced(folder: Path, sync_tree: Callable[[Path], None]) -> None:
    """Rewrites the weights and syncs them to disk."""
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes())
    sync_tree(folder)


def in_process(tree: Path, run: Path) -> dict[str, float]:
    """Runs `measure` in a fresh process that imports `tree`, and times a short command as a whole."""
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, __file__, "--measure", str(run)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout)
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "bertune", "predict", str(run), "-"],
        env=environment, input="a text\n", capture_output=True, text=True, check=True,
    )  # fmt: skip
    return found | {"predict one text, whole command": time.perf_counter() - started}


def main() -> None:
    """Compares the trees and prints a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--before", type=Path, help="checkout of the earlier tree")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--measure", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.measure)))
        return
    with tempfile.TemporaryDirectory() as folder:
        runs = {}
        for name, tree in (("before", options.before), ("now", HERE)):
            runs[name] = Path(folder) / name
            code = (
                f"from loading import prepare; from pathlib import Path; prepare(Path({str(runs[name])!r}))"
            )
            paths = f"{tree / 'src'}{os.pathsep}{HERE / 'benchmarks'}"
            subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths}, check=True)
        rounds = []
        for number in range(options.rounds):
            order = ("before", "now") if number % 2 else ("now", "before")
            trees = {"before": options.before, "now": HERE}
            rounds.append({name: in_process(trees[name], runs[name]) for name in order})
    for key in rounds[0]["now"]:
        now = [r["now"][key] for r in rounds]
        line = f"{key:34} now {statistics.median(now) * 1e3:8.1f} ms"
        if key in rounds[0]["before"]:
            before = [r["before"][key] for r in rounds]
            ratios = sorted(n / b for n, b in zip(now, before, strict=True))
            line += (
                f"   before {statistics.median(before) * 1e3:8.1f} ms   ratio {statistics.median(ratios):.3f}"
            )
            line += f" ({ratios[0]:.3f} to {ratios[-1]:.3f})"
        print(line)


if __name__ == "__main__":
    main()
