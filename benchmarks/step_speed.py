"""Compare the speed of a training step with the transformers Trainer's at its best, paired, in one run.

    BERTUNE_DATA=DATA python benchmarks/step_speed.py --rounds 5

Every round trains both sides on the first rows of CoLA for one epoch, each in a fresh process, the sides
taking turns at going first. What counts is the training rate alone: no start-up, tokenization, evaluation
or saving. The ratio is taken round by round, so that a machine that slows down slows both.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
from pathlib import Path

from quality import SIDES, TITLES, bertune_program, machine, run_checked

HERE = Path(__file__).parent
EXAMPLES = 3200


def rate(side: str, seed: int, folder: Path) -> float:
    """Training texts per second of one side, in a process of its own."""
    if side == "hf":
        out = folder / "hf.json"
        script = HERE / "peers" / "hf_trainer.py"
        arguments = ["--task", "cola", "--seed", str(seed), "--limit", str(EXAMPLES), "--epochs", "1"]
        run_checked([sys.executable, script, *arguments, "--out", out])
        return float(json.loads(out.read_text(encoding="utf-8"))["train_examples_per_second"])
    out = folder / "run"
    settings = ["model.name=minilm", "train.epochs=1", f"train.examples={EXAMPLES}", f"train.seed={seed}"]
    run_checked([bertune_program(), "train", "cola", *settings, "--out", out])
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    return float(manifest["timings"]["train_examples_per_second"])


def main() -> int:
    """Run the rounds, print and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--table", type=Path, default=HERE / "step_speed.md", help="page to write")
    options = parser.parse_args()
    rounds: list[dict[str, float]] = []
    for number in range(options.rounds):
        rates: dict[str, float] = {}
        for side in SIDES[:: -1 if number % 2 else 1]:
            with tempfile.TemporaryDirectory() as folder:
                rates[side] = rate(side, number + 1, Path(folder))
        rounds.append(rates)
        print(
            f"round {number + 1}: " + ", ".join(f"{TITLES[s]} {r:.1f}" for s, r in rates.items()), flush=True
        )
    page = table(rounds)
    options.table.write_text(page, encoding="utf-8")
    print(page)
    return 0


def table(rounds: list[dict[str, float]]) -> str:
    """The Markdown page: each round, medians, and the ratio pair by pair."""
    ratios = [r["bertune"] / r["hf"] for r in rounds]
    place = machine()
    return "\n".join(
        [
            "# Step speed: CoLA, batch 32, MiniLM-L6, against the Trainer at its best settings",
            "",
            (__doc__ or "").split("\n\n")[2].replace("\n", " "),
            "",
            "| round | HF Trainer, texts/s | bertune, texts/s | ratio |",
            "|---|---|---|---|",
            *(
                f"| {n} | {r['hf']:.1f} | {r['bertune']:.1f} | {ratio:.2f} |"
                for n, (r, ratio) in enumerate(zip(rounds, ratios, strict=True), start=1)
            ),
            f"| median | {statistics.median(r['hf'] for r in rounds):.1f} "
            f"| {statistics.median(r['bertune'] for r in rounds):.1f} "
            f"| {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |",
            "",
            f"- Machine: {place['cpu']}, {place['cores']} cores, {place['system']}, "
            f"Python {platform.python_version()}",
            f"- Command: `BERTUNE_DATA=DATA python benchmarks/step_speed.py --rounds {len(rounds)}`",
            "",
        ]
    )


if __name__ == "__main__":
    raise SystemExit(main())
