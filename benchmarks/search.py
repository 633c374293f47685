"""Search settings on CoLA for 12 trials, killed after 5 and continued by two processes.

    BERTUNE_DATA=FOLDER python benchmarks/search.py --work FOLDER

The published rows of CoLA (Warstadt et al. 2019) are split differently, because its validation file is small:
3,000 training rows, 1,000 validation rows that trials are compared on, and all others as test rows, which
only the best settings and the defaults are scored on. The encoder is MiniLM-L6 with its embeddings and three
lower layers frozen, so that a trial takes a minute. The search is killed with SIGKILL in its sixth trial. The
results are written to benchmarks/results/search.json, and the section of docs/results.md is replaced.
"""

import argparse
import csv
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import optuna
from results_blocks import replace_block

import bertune as bt
from bertune.run import open_run
from bertune.tuning import Tuning

RESULTS = Path(__file__).parent / "results" / "search.json"
TRIALS, KILLED_AFTER = 12, 5
SIZES = {"train": 3000, "validation": 1000}
TRAINING = {"model.name": "minilm", "train.freeze": 3, "machine.threads": 1}
SEARCH = {
    "tune.trials": TRIALS,
    "tune.space.train.lr": "2e-5..1e-3",
    "tune.space.train.batch_size": "16,32",
    "tune.space.train.epochs": "2,3,4",
}


def main() -> None:
    """Run the search, train the defaults, compare both on the test rows, and write the results."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--work", type=Path, required=True, help="folder for the files and the search")
    arguments.add_argument("--page-only", action="store_true", help="only write the section from the results")
    given = arguments.parse_args()
    if not given.page_only:
        given.work.mkdir(parents=True, exist_ok=True)
        results = measured(given.work)
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = section(json.loads(RESULTS.read_text(encoding="utf-8")))
    replace_block("search", text)
    print(text)


def measured(work: Path) -> dict[str, Any]:
    """All numbers of the section."""
    files = write_files(work)
    data = {f"data.{split}": str(file) for split, file in files.items()}
    data |= {"data.calibration_fraction": "0"}  # all validation rows compare trials
    out = work / "tune"
    command = [sys.executable, "-m", "bertune", "tune", str(files["train"])]
    command += [f"{key}={value}" for key, value in {**data, **TRAINING, **SEARCH}.items()]
    command += ["--out", str(out)]
    killed = killed_search(command, out, work / "killed.log")
    shared = continued(command, work)
    result = Tuning(out)
    record = result.record
    counts = states(out)
    default = work / "default"
    if not default.exists():
        bt.train(str(files["train"]), settings={**data, **TRAINING}, out=default)
    compared = bt.compare([default, result.best.path])
    score = next(one for one in compared.runs[0].scores if one.score == record.metric)
    assert score.difference is not None, "the score is defined for both runs"
    return {
        "rows": {split: sum(1 for _ in file.open(encoding="utf-8")) - 1 for split, file in files.items()},
        "killed": killed,
        "trials_of_each_process": shared,
        "counts": counts,
        "record": {
            key: record.to_json()[key] for key in ("trials", "winner", "optimism", "space", "sentences")
        },
        "default": open_run(default).scores,
        "difference": asdict(score.difference),
    }


def write_files(work: Path) -> dict[str, Path]:
    """The published rows, shuffled and divided."""
    folder = Path(os.environ["BERTUNE_DATA"]) / "cola"
    rows = []
    for name in ("in_domain_train.tsv", "in_domain_dev.tsv", "out_of_domain_dev.tsv"):
        lines = (folder / name).read_text(encoding="utf-8").splitlines()
        rows += [(cells[3], cells[1]) for line in lines if len(cells := line.split("\t")) == 4]
    random.Random(0).shuffle(rows)
    ends = (SIZES["train"], SIZES["train"] + SIZES["validation"])
    parts = {"train": rows[: ends[0]], "validation": rows[ends[0] : ends[1]], "test": rows[ends[1] :]}
    files = {split: work / f"{split}.csv" for split in parts}
    for split, part in parts.items():
        with files[split].open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("text", "label"), *part])
    return files


def killed_search(command: list[str], out: Path, log: Path) -> dict[str, int]:
    """Start the search and kill it in the trial after the fifth; returns the states of its trials."""
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file)
    running = out / "trials" / f"trial-{KILLED_AFTER}" / "metrics.jsonl"
    while not (running.is_file() and running.stat().st_size > 0):
        if process.poll() is not None:
            raise RuntimeError(f"the search ended early: {log.read_text(encoding='utf-8')}")
        time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    return states(out)


def continued(command: list[str], work: Path) -> list[int]:
    """Continue the search with two processes; returns how many trials each of them completed."""
    logs = [work / f"process-{number}.log" for number in (1, 2)]
    processes = []
    for log in logs:
        with log.open("w", encoding="utf-8") as file:
            processes.append(subprocess.Popen([*command, "--resume"], stdout=file, stderr=file))
    for process, log in zip(processes, logs, strict=True):
        if process.wait() != 0:
            raise RuntimeError(log.read_text(encoding="utf-8"))
    return [len(re.findall(r"^ *\d+/12  trial-", log.read_text(encoding="utf-8"), re.M)) for log in logs]


def states(out: Path) -> dict[str, int]:
    """The number of trials in the storage, by state."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.load_study(study_name=out.name, storage=f"sqlite:///{out}/trials.sqlite")
    names = [trial.state.name.lower() for trial in study.trials]
    return {name: names.count(name) for name in sorted(set(names))}


def section(results: dict[str, Any]) -> str:
    """The section of docs/results.md."""
    record, killed, counts = results["record"], results["killed"], results["counts"]
    winner, one, difference = record["winner"], record["optimism"], results["difference"]
    done = counts.get("complete", 0) + counts.get("pruned", 0)
    rows = results["rows"]
    collapse = (
        ": with them, this model predicts one label for all rows" if results["default"]["mcc"] == 0 else ""
    )
    lines = [
        "## Search: killed, resumed and compared with the defaults",
        "",
        f"`bertune tune` for {TRIALS} trials on CoLA, whose published rows are split differently: "
        f"{rows['train']:,} to train on, {rows['validation']:,} that trials are compared on, "
        f"{rows['test']:,} for the test. The "
        "encoder is MiniLM-L6 with its embeddings and three lower layers frozen. The defaults are from "
        f"the BERT paper, whose learning rates suit larger encoders{collapse}.",
        "",
        f"- **Killed and resumed.** SIGKILL in the sixth trial left {killed.get('complete', 0)} completed, "
        f"{killed.get('pruned', 0)} stopped early and {killed.get('running', 0)} unfinished. Two processes "
        f"continued it and completed {' and '.join(map(str, results['trials_of_each_process']))} trials, the "
        f"unfinished one among them. The storage then held {done} trials: {counts.get('complete', 0)} "
        f"completed, {counts.get('pruned', 0)} stopped early, {counts.get('running', 0)} unfinished, "
        f"{counts.get('fail', 0)} withdrawn because their settings repeated those of another trial.",
        f"- **Best settings.** {record['sentences']['Best settings']}.",
        f"- **Gain on held-out data.** Test MCC {winner['test']:.3f}, against "
        f"{results['default']['mcc']:.3f} with the defaults: {difference['value']:+.3f}, "
        f"95% interval {difference['low']:+.3f} to "
        f"{difference['high']:+.3f} (paired bootstrap of the test rows).",
        f"- **Optimism.** The score that selected the settings is {winner['value']:.3f}, "
        f"{winner['gap']:+.3f} above the test score (95% interval {winner['gap_interval'][0]:+.3f} to "
        f"{winner['gap_interval'][1]:+.3f}). Resamples of the validation rows expect an optimism of "
        f"{one['expected']:.3f}, and {one['ceiling']:.3f} if all trials were equally good.",
        "",
        "| trial | train.lr | train.batch_size | train.epochs | outcome | validation MCC | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    for trial in record["trials"]:
        params = trial["params"]
        value = "" if trial["value"] is None else f"{trial['value']:.3f}"
        name = f"{trial['number']}{' (defaults)' if trial.get('is_default') else ''}"
        cells = [name, f"{params['train.lr']:.2g}", params["train.batch_size"], f"{params['train.epochs']:g}"]
        cells += [trial["outcome"], value, f"{trial.get('seconds') or 0:.0f}"]
        lines.append(f"| {' | '.join(map(str, cells))} |")
    lines += ["", "Seconds are wall-clock time under other load, including pauses of the machine.", ""]
    lines += ["```", "BERTUNE_DATA=DATA python benchmarks/search.py --work WORK", "```"]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
