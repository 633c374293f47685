"""Compare bertune's scores with the transformers Trainer's on the same rows, over paired seeds.

    BERTUNE_DATA=DATA python benchmarks/paired_seeds.py                          six sets, ten seeds
    BERTUNE_DATA=DATA python benchmarks/paired_seeds.py --sets rte --seeds 3     some
    python benchmarks/paired_seeds.py --render                                   only the page

A pair is one set and one seed trained by both sides, in one of `--workers` processes, which may share a GPU.
All sets of a seed come before the next seed, so a run that is cut short has about as many seeds of each set.
Results are written after each pair, and stored pairs are not trained again. On a CPU a pair takes minutes to
hours: choose sets, or use `--limit`.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shlex
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")  # several workers share the cores

from paired_page import page
from paired_sets import SETS, scratch_encoder

from bertune.bench.environment import machine, versions
from bertune.bench.job import spread

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "paired_seeds.json"
PAGE = HERE / "quality_paired.md"


@dataclass(frozen=True)
class Work:
    """One pair to train, and where and how."""

    name: str
    seed: int
    data: Path
    encoders: dict[str, Path]
    machine: dict[str, str]  # bertune's settings of that section
    limit: int  # rows of each split, to try the script out
    order: tuple[str, str]  # which side trains first


def train_pair(work: Work) -> dict[str, Any]:
    """Trains both sides of a pair; what is stored of it."""
    from paired_sides import gold_bits, prepared_rows, rows_of, train_bertune, train_peer
    from transformers.utils import logging

    from bertune.config import MachineConfig
    from bertune.nn.device import give_back_freed_memory, make_machine

    logging.disable_progress_bar()
    chosen = SETS[work.name]
    encoder = work.encoders[chosen.recipe.encoder]
    train, test = (spread(read(work.data), work.limit) for read in (chosen.train, chosen.test))
    prepared = prepared_rows(chosen, train, test, encoder, work.seed, work.machine)
    here = make_machine(MachineConfig.model_validate(work.machine))
    is_cpu = here.device.type == "cpu"
    found: dict[str, Any] = {}
    seconds = {}
    for side in work.order:
        started = time.perf_counter()
        if side == "bertune":
            found[side] = train_bertune(prepared)
        else:
            found[side] = train_peer(
                rows_of(prepared), chosen.recipe, encoder, work.seed, is_cpu, here.precision
            )
        give_back_freed_memory()
        seconds[side] = round(time.perf_counter() - started, 1)
    return {
        "set": work.name,
        "seed": work.seed,
        "train_rows": len(prepared.splits["train"].examples),
        "validation_rows": len(prepared.splits["validation"].examples),
        "test_rows": len(prepared.splits["test"].examples),
        "gold": gold_bits(prepared),
        **found,
        "seconds": seconds,
        "device": here.device_name,
        "precision": here.precision,
    }


def data_folder() -> Path:
    """The folder that BERTUNE_DATA names; exits with a message when it is not set."""
    name = os.environ.get("BERTUNE_DATA")
    if not name or not Path(name).is_dir():
        raise SystemExit("BERTUNE_DATA must name the folder that holds rte/, mrpc/ and the other sets")
    return Path(name)


def load(path: Path) -> dict[str, Any]:
    """The stored results, or none yet."""
    if path.is_file():
        stored: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return stored
    return {"environments": [], "pairs": []}


def store(path: Path, results: dict[str, Any]) -> None:
    """Writes the results, one pair a line, so that a run cut short leaves a whole file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pairs = sorted(results["pairs"], key=lambda p: (list(SETS).index(p["set"]), p["seed"]))
    lines = ",\n".join(json.dumps(pair, separators=(",", ":")) for pair in pairs)
    environments = json.dumps(results["environments"], indent=1)
    partial = path.with_suffix(".partial")
    partial.write_text(f'{{"environments": {environments},\n"pairs": [\n{lines}\n]}}\n', encoding="utf-8")
    partial.replace(path)


def wanted(options: argparse.Namespace, done: set[tuple[str, int]], encoders: dict[str, Path]) -> list[Work]:
    """The pairs that are not stored yet: all sets of a seed before the next seed."""
    data = data_folder()
    settings = {"device": options.device, "precision": options.precision}
    pairs = [(name, seed) for seed in range(options.first, options.seeds + 1) for name in options.sets]
    return [
        Work(
            name, seed, data, encoders, settings, options.limit,
            ("bertune", "peer") if seed % 2 else ("peer", "bertune"),
        )
        for name, seed in pairs
        if (name, seed) not in done
    ]  # fmt: skip


def run(options: argparse.Namespace, results: dict[str, Any]) -> bool:
    """Trains what is missing, storing each pair; False if a pair failed or time ran out."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        encoders = {
            "minilm": minilm_folder(options.minilm),
            "scratch": scratch_encoder(data_folder(), Path(folder) / "scratch"),
        }
        todo = wanted(options, {(p["set"], p["seed"]) for p in results["pairs"]}, encoders)
        missing = len(todo)
        # Spawned, not forked: CUDA cannot be used in a process forked from one that has touched it.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(options.workers, mp_context=context) as pool:
            waiting = {pool.submit(train_pair, work): work for work in todo}
            for future in as_completed(waiting):
                work = waiting[future]
                error = None if future.cancelled() else future.exception()
                if future.cancelled():
                    continue
                if error is not None:
                    print(f"{work.name} seed {work.seed} failed: {error!r}", file=sys.stderr, flush=True)
                else:
                    results["pairs"].append(future.result())
                    store(options.results, results)
                    missing -= 1
                    print(f"{time.perf_counter() - started:.0f} s: {short(future.result())}", flush=True)
                if options.seconds and time.perf_counter() - started > options.seconds:
                    for other in waiting:
                        other.cancel()
    return missing == 0


def short(pair: dict[str, Any]) -> str:
    """A line of progress."""
    metric = SETS[pair["set"]].metric
    courses = " ".join(f"{e['test'][metric]:.3f}" for e in pair["bertune"])
    return (
        f"{pair['set']} seed {pair['seed']}: Trainer {pair['peer'][metric]:.3f}, bertune {courses}, "
        f"{pair['seconds']}"
    )


def minilm_folder(given: Path | None) -> Path:
    """The folder of the pretrained encoder: the given one, else the packaged one."""
    from bertune.nn.pretrained import PACKAGED, find_pretrained

    return find_pretrained(PACKAGED).folder if given is None else given.resolve()


def main() -> int:
    """Trains what is missing and writes the page; 1 if something is still missing."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--sets", nargs="+", choices=list(SETS), default=list(SETS), metavar="SET")
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seeds", type=int, default=10, help="the last seed")
    parser.add_argument("--workers", type=int, default=1, help="processes that train at the same time")
    parser.add_argument("--device", default="auto", help="as machine.device")
    parser.add_argument("--precision", default="auto", choices=("auto", "fp32", "bf16"))
    parser.add_argument("--seconds", type=float, help="start no further pair after this time")
    parser.add_argument(
        "--limit", type=int, default=sys.maxsize, help="rows of each split, to try the script out"
    )
    parser.add_argument("--minilm", type=Path, help="folder with the weights of all-MiniLM-L6-v2")
    parser.add_argument("--note", help="a remark on this run, for the page")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--render", action="store_true", help="train nothing, only write the page")
    options = parser.parse_args()
    results = load(options.results)
    is_whole = True
    if not options.render:
        note_environment(results, options.note)
        is_whole = run(options, results)
    if results["pairs"]:
        options.page.write_text(page(results), encoding="utf-8")
    return 0 if is_whole else 1


def note_environment(results: dict[str, Any], note: str | None) -> None:
    """Records the machine, the versions and the command, unless the last run had the same."""
    arguments = shlex.join(shown_arguments(sys.argv[1:]))
    command = f"BERTUNE_DATA=DATA python benchmarks/paired_seeds.py {arguments}"
    now = {"machine": machine(), "versions": versions(), "command": command.strip(), "note": note}
    if now not in results["environments"]:
        results["environments"].append(now)


def shown_arguments(arguments: list[str]) -> list[str]:
    """The command without this machine's folders."""
    shown: list[str] = []
    for word in arguments:
        is_folder = bool(shown) and shown[-1] in ("--minilm", "--results", "--page")
        shown.append(shown[-1][2:].upper() if is_folder else word)
    return shown


if __name__ == "__main__":
    raise SystemExit(main())
