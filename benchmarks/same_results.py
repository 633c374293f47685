"""Compares the weights and predictions of this source tree and an earlier one, for every task.

    git worktree add ../before COMMIT
    python benchmarks/same_results.py --before ../before

Both trees train each recipe with the same seed. Prints whether weights and predictions are identical, the
largest difference in predicted numbers, and the training time. Exits with status 1 if weights differ, or if
predictions differ by more than rounding in the last digits.
"""

import argparse
import json
import math
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bertune.renamed import SETTINGS, TASKS

HERE = Path(__file__).parents[1]
ROWS = 96
LARGEST = 2**-22  # allowed relative difference of a predicted number: two units in the last place of fp32
THINGS = ["lamp", "street", "bin", "park", "noise", "dog", "bus", "tree", "bench", "light", "road", "fence"]
WORDS = {
    "good": ["bright", "clean", "quiet", "green", "new", "fine", "lovely", "safe"],
    "bad": ["broken", "dirty", "loud", "dead", "old", "wet", "ugly", "dark"],
}

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Recipe:
    """A training run: its rows and its settings, with their current names."""

    task: str
    rows: Rows
    settings: dict[str, str] = field(default_factory=dict)


def named_for(tree: Path, settings: dict[str, str]) -> dict[str, str]:
    """The settings with the names that a source tree uses; trees without renamed.py have the old names."""
    if (tree / "src" / "bertune" / "renamed.py").exists():
        return settings
    keys, tasks = ({now: before for before, now in names.items()} for names in (SETTINGS, TASKS))
    return {
        keys.get(key, key): tasks.get(value, value) if key == "task.name" else value
        for key, value in settings.items()
    }


def sentence(draw: random.Random, mood: str, length: int = 6) -> str:
    """A text that alternates between things and adjectives of one mood."""
    words = [draw.choice(THINGS if i % 2 else WORDS[mood]) for i in range(length)]
    return " ".join(words)


def moods(make: Callable[[random.Random, str], dict[str, Any]], seed: int) -> Rows:
    """Rows that alternate between good and bad texts."""
    draw = random.Random(seed)
    return [make(draw, ("good", "bad")[i % 2]) for i in range(ROWS)]


def recipes() -> Iterator[Recipe]:
    """One recipe for each task, and for options with separate code."""

    def labelled(draw: random.Random, mood: str) -> dict[str, Any]:
        return {"text": sentence(draw, mood, draw.randint(3, 40)), "label": mood}

    def several(draw: random.Random, mood: str) -> dict[str, Any]:
        text = sentence(draw, mood)
        return {"text": text, "labels": ",".join([mood] + [t for t in ("lamp", "dog") if t in text])}

    def number(draw: random.Random, mood: str) -> dict[str, Any]:
        return {"text": sentence(draw, mood), "score": draw.random() + 3 * (mood == "good")}

    def tagged(draw: random.Random, mood: str) -> dict[str, Any]:
        words = sentence(draw, mood, 9).split()
        return {"tokens": words, "tags": ["B-THING" if word in THINGS else "O" for word in words]}

    def asked(draw: random.Random, mood: str) -> dict[str, Any]:
        context = sentence(draw, mood, 60)
        start = context.index(word := context.split()[draw.randint(1, 50)])
        return {
            "question": f"what is {mood} ?",
            "context": context,
            "answers": [{"text": word, "answer_start": start}] if draw.random() < 0.8 else [],
        }

    def chosen(draw: random.Random, mood: str) -> dict[str, Any]:
        right = draw.randint(0, 2)
        other = "bad" if mood == "good" else "good"
        choices = [sentence(draw, mood if i == right else other, 3) for i in range(3)]
        return {"context": sentence(draw, mood), "question": "it is", "choices": choices, "label": right}

    def judged(draw: random.Random, mood: str) -> dict[str, Any]:
        return {
            "query": f"{draw.choice(THINGS[:8])} now ?",
            "document": sentence(draw, mood),
            "grade": int(mood == "good") + draw.randint(0, 1),
        }

    def paired(draw: random.Random, mood: str) -> dict[str, Any]:
        return {"anchor": sentence(draw, mood), "positive": sentence(draw, mood)}

    def likened(draw: random.Random, mood: str) -> dict[str, Any]:
        return {
            "sentence1": sentence(draw, mood),
            "sentence2": sentence(draw, draw.choice(("good", "bad"))),
            "score": draw.random(),
        }

    windows = {"task.long_texts": "windows", "model.max_length": "16", "task.stride": "4"}
    yield Recipe("classification", moods(labelled, 1))
    yield Recipe(
        "classification",
        moods(labelled, 2),
        {"task.class_weights": "auto", "task.focal_gamma": "1", **windows},
    )
    yield Recipe("multilabel", moods(several, 3), {"task.label_smoothing": "0.1"})
    yield Recipe("regression", moods(number, 4))
    yield Recipe("token_classification", moods(tagged, 5))
    yield Recipe("question_answering", moods(asked, 6), {"model.max_length": "48", "task.stride": "8"})
    yield Recipe("multiple_choice", moods(chosen, 7))
    yield Recipe("ranking", moods(judged, 8))
    yield Recipe("ranking", moods(judged, 9), {"task.loss": "listwise"})
    yield Recipe("embeddings", moods(paired, 10))
    yield Recipe("embeddings", moods(likened, 11), {"task.loss": "mse"})
    yield Recipe("language_modelling", moods(labelled, 12))


def train(
    tree: Path, recipe: Recipe, settings: dict[str, str], folder: Path
) -> tuple[bytes, list[Any], float]:
    """Trains with a source tree; returns the weights, the predictions and the training time in seconds."""
    data, run = folder / "rows.jsonl", folder / "run"
    data.write_text("".join(json.dumps(row) + "\n" for row in recipe.rows), encoding="utf-8")
    given = {
        "model.name": "minilm",
        "train.epochs": "2",
        "train.batch_size": "16",
        "train.seed": "7",
        "machine.threads": "1",
        "machine.device": "cpu",
    } | settings
    command = [sys.executable, "-m", "bertune", "train", str(data), "--out", str(run)]
    command += [f"{key}={value}" for key, value in named_for(tree, given).items()]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"training {recipe.task} failed in {tree}:\n{done.stderr[-2000:]}")
    lines = (run / "predictions" / "validation.jsonl").read_text(encoding="utf-8").splitlines()
    predicted = [json.loads(line) for line in lines]
    seconds = json.loads((run / "manifest.json").read_text(encoding="utf-8"))["timings"]["train_seconds"]
    return (run / "model" / "model.safetensors").read_bytes(), predicted, seconds


def difference(now: Any, before: Any) -> float:
    """The largest relative difference of numbers in two JSON values; infinite if anything else differs."""
    if isinstance(now, dict) and isinstance(before, dict) and now.keys() == before.keys():
        return max((difference(now[key], before[key]) for key in now), default=0.0)
    if isinstance(now, list) and isinstance(before, list) and len(now) == len(before):
        return max((difference(a, b) for a, b in zip(now, before, strict=True)), default=0.0)
    if isinstance(now, float) and isinstance(before, float):
        return abs(now - before) / max(abs(now), abs(before), 1e-300)
    return 0.0 if now == before else math.inf


def without_place(lines: list[Any]) -> list[Any]:
    """Predictions without the name of the source file, whose folder differs."""
    return [{key: value for key, value in line.items() if key != "source"} for line in lines]


def main() -> int:
    """Trains every recipe in both trees and prints one line for each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--before", type=Path, required=True, help="checkout of the earlier tree")
    parser.add_argument("--only", nargs="*", default=[], help="names of tasks")
    options = parser.parse_args()
    failed = 0
    for recipe in recipes():
        if options.only and recipe.task not in options.only:
            continue
        with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
            settings = {"task.name": recipe.task} | recipe.settings
            now = train(HERE, recipe, settings, Path(one))
            before = train(options.before, recipe, settings, Path(other))
        apart = difference(without_place(now[1]), without_place(before[1]))
        is_same = now[0] == before[0]
        failed += not is_same or apart > LARGEST
        print(
            f"{recipe.task:20} {' '.join(f'{k}={v}' for k, v in recipe.settings.items()):60} "
            f"weights {'equal' if is_same else 'DIFFERENT'}; predictions "
            f"{'equal' if apart == 0 else f'differ by {apart:.1e}'}; "
            f"{now[2]:.2f} s now, {before[2]:.2f} s before",
            flush=True,
        )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
