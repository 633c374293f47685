"""Compares the scores of bertune with those of its peers' trainers, over several seeds.

    BERTUNE_DATA=DATA python benchmarks/quality.py --tasks conll2003 dream --seeds 1 2 3

Every combination of task, side and seed runs in a separate process, one at a time, with alternating sides.
Each result is stored as a small JSON file, and existing results are not computed again, so the command can be
interrupted and repeated. The page covers every result in the folder; `--sides` without a value only writes
the page.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from paired_page import short_section
from quality_page import SIDES, Result, table
from quality_tasks import TASKS
from slices import place

from bertune.bench.environment import machine

HERE = Path(__file__).parent
PAIRED = HERE / "results" / "paired_seeds.json"  # written by paired_seeds.py


def run_checked(command: Sequence[str | Path]) -> str:
    """The stdout of a command. Raises RuntimeError with the end of its stderr if it fails."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [str(part) for part in command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"exit status {done.returncode}\n{done.stderr[-2000:]}")
    return done.stdout


def data_folder() -> Path:
    """The folder named by BERTUNE_DATA. Exits with a message if it is not set."""
    name = os.environ.get("BERTUNE_DATA")
    if not name or not Path(name).is_dir():
        raise SystemExit("set BERTUNE_DATA to the folder that contains cola/, conll2003/ and the other sets")
    return Path(name)


def placed(task: str, folder: Path) -> dict[str, Path]:
    """The files that both sides read, by split; empty for a named data set."""
    return {split: place(part, data_folder(), folder, split) for split, part in TASKS[task].parts.items()}


def shown(command: Sequence[str | Path], files: dict[str, Path]) -> str:
    """A command with placeholders for folders: DATA for complete files, PART for parts of files."""
    data = data_folder()
    names = {
        str(path): f"PART/{split}{path.suffix}" for split, path in files.items() if data not in path.parents
    }
    words = [str(part) for part in command]
    for path, name in {**names, str(data): "DATA"}.items():
        words = [word.replace(path, name) for word in words]
    return shlex.join(words)


def run_peer(task: str, seed: int, folder: Path) -> Result:
    """Runs the peer's script once; returns its result with the command that reproduces it."""
    script, out = HERE / "peers" / f"{TASKS[task].peer}.py", folder / "result.json"
    files, recipe = placed(task, folder), TASKS[task].recipe
    arguments: list[str | Path] = ["--seed", str(seed), "--out"]
    if recipe is None:
        arguments = ["--task", task, *arguments]
    else:
        reads: list[str | Path] = ["--train", files["train"], "--validation", files["validation"]]
        arguments = [*reads, "--recipe", recipe.as_json(), *arguments]
    run_checked([sys.executable, script, *arguments, out])
    result: Result = json.loads(out.read_text(encoding="utf-8"))
    command = ["python", f"benchmarks/peers/{script.name}", *arguments, "FILE"]
    return {**result, "command": shown(command, files)}


def bertune_program() -> Path:
    """The bertune command next to this interpreter, or else the one on PATH."""
    beside = Path(sys.executable).with_name("bertune")
    found = str(beside) if beside.is_file() else shutil.which("bertune")
    if found is None:
        raise RuntimeError("the bertune command is not installed")
    return Path(found)


def run_bertune(task: str, seed: int, folder: Path) -> Result:
    """Runs `bertune train` once; returns its scores, training rate and command."""
    out = folder / "run"
    files, recipe = placed(task, folder), TASKS[task].recipe
    source: list[str | Path] = [task]
    if recipe is not None:
        source = [files["train"], f"data.validation={files['validation']}", *recipe.overrides()]
    arguments = ["train", *source, *TASKS[task].overrides, f"train.seed={seed}", "--out"]
    printed = json.loads(run_checked([bertune_program(), *arguments, out, "--json"]))
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return {
        "scores": {
            split: {name: plain_number(value) for name, value in scores.items()}
            for split, scores in printed["scores"].items()
        },
        "train_examples_per_second": float(manifest["timings"]["train_examples_per_second"]),
        "timings": manifest["timings"],
        "versions": {
            "python": platform.python_version(),
            **{name: importlib.metadata.version(name) for name in ("bertune", "torch", "transformers")},
        },
        "command": shown(["bertune", *arguments, "RUN", "--json"], files),
    }


def plain_number(value: Any) -> float | None:
    """A score as a number, given either as a number or as an object with `value`."""
    if isinstance(value, dict):
        value = value.get("value")
    return None if value is None else float(value)


def result_path(results: Path, task: str, side: str, seed: int) -> Path:
    """The file of one result."""
    return results / f"{task}-{side}-{seed}.json"


def run_one(results: Path, task: str, side: str, seed: int) -> bool:
    """Runs one combination unless its result exists; returns False if the run failed."""
    path = result_path(results, task, side, seed)
    if path.exists():
        return True
    print(f"{task} {side} seed {seed} ...", flush=True)
    run = run_peer if side == "hf" else run_bertune
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory() as folder:
            result = run(task, seed, Path(folder))
    except (RuntimeError, OSError, ValueError, TypeError, LookupError) as error:
        print(f"{task} {side} seed {seed} failed: {error!r}", file=sys.stderr, flush=True)
        return False
    threads = os.environ.get("OMP_NUM_THREADS")
    kept = {
        "task": task,
        "side": side,
        "seed": seed,
        **result,
        "process_seconds": time.perf_counter() - started,
        "machine": machine(),
        "threads": int(threads) if threads else None,
        "load_average_after": os.getloadavg()[0],
    }
    write_whole(path, kept)
    print(
        f"{task} {side} seed {seed}: {kept['process_seconds']:.0f} s, {json.dumps(kept['scores'])}",
        flush=True,
    )
    return True


def write_whole(path: Path, content: Result) -> None:
    """Writes a result atomically, so that an interrupted run leaves no partial file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    # Only the renamed file counts as a result.
    partial.replace(path)


def load_results(results: Path) -> dict[tuple[str, str], dict[int, Result]]:
    """Every result in the folder, by task and side, then by seed."""
    found: dict[tuple[str, str], dict[int, Result]] = {}
    for path in sorted(results.glob("*.json")):
        result = json.loads(path.read_text(encoding="utf-8"))
        found.setdefault((result["task"], result["side"]), {})[result["seed"]] = result
    return found


def page(results: Path) -> str:
    """The whole page in Markdown: the results in a folder, and those over paired seeds."""
    paired = json.loads(PAIRED.read_text(encoding="utf-8"))
    return f"{table(load_results(results))}\n{short_section(paired)}"


def main() -> int:
    """Runs missing combinations and writes the page; returns 1 if a run failed."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--tasks", nargs="+", choices=list(TASKS), default=list(TASKS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--sides", nargs="*", choices=SIDES, default=list(SIDES))
    parser.add_argument("--results", type=Path, default=HERE / "results" / "quality")
    parser.add_argument("--table", type=Path, default=HERE / "quality.md", help="page to write")
    options = parser.parse_args()
    sound = True
    for task in options.tasks:
        for turn, seed in enumerate(options.seeds):
            # The sides alternate in going first, so that neither always runs on the warmer machine.
            for side in options.sides[:: -1 if turn % 2 else 1]:
                sound = run_one(options.results, task, side, seed) and sound
    options.table.write_text(page(options.results), encoding="utf-8")
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
