"""Train a model on part of a published data set, and cache its outputs for the rest, a large held-out pool.

Dimensions: N rows of the pool, C labels.
"""

from __future__ import annotations

import csv
import json
import os
import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.arrays import FloatArray

Rows = list[tuple[str, Any]]  # text, and its label or list of labels


@dataclass(frozen=True)
class PoolSet:
    """A data set, of which `num_train` rows train a model. The rest is the pool, up to `most` rows."""

    title: str
    read: Callable[[Path], Rows]
    num_train: int
    settings: dict[str, Any]
    most: int = 20_000


@dataclass(frozen=True)
class Pool:
    """The outputs of a model for rows that it was not trained on."""

    logits_NC: FloatArray
    gold: NDArray[np.int64]  # [N] label indices, or [N, C] of 0 and 1 for several labels per text
    labels: tuple[str, ...]


def _banking77(data: Path) -> Rows:
    rows: Rows = []
    for name in ("train", "test"):
        with (data / "banking77" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
            rows += [(row["text"], row["category"]) for row in csv.DictReader(file)]
    return rows


def _clinc150(data: Path) -> Rows:
    content = json.loads((data / "clinc150" / "data_full.json").read_text(encoding="utf-8"))
    return [(text, label) for part in ("train", "val", "test") for text, label in content[part]]


def _sst2(data: Path) -> Rows:
    rows: Rows = []
    for name in ("train", "dev"):
        lines = (data / "sst2" / f"{name}.tsv").read_text(encoding="utf-8").splitlines()[1:]
        rows += [tuple(line.rsplit("\t", 1)) for line in lines]  # type: ignore[misc]
    return rows


def _goemotions(data: Path) -> Rows:
    names = (data / "goemotions" / "labels.txt").read_text(encoding="utf-8").split()
    rows: Rows = []
    for part in ("train", "dev", "test"):
        for line in (data / "goemotions" / f"{part}.tsv").read_text(encoding="utf-8").splitlines():
            text, labels, _ = line.split("\t")
            rows.append((text, [names[int(number)] for number in labels.split(",")]))
    return rows


_INTENTS = {"train.lr": 3e-4, "train.epochs": 5}
SETS = {
    "clinc150": PoolSet("CLINC150", _clinc150, 7500, _INTENTS),
    "banking77": PoolSet("Banking77", _banking77, 5000, _INTENTS),
    "sst2": PoolSet("SST-2", _sst2, 8000, {"train.lr": 1e-4, "train.epochs": 2}),
    "goemotions": PoolSet(
        "GoEmotions", _goemotions, 15_000, {"train.lr": 2e-4, "train.epochs": 2, "task.name": "multilabel"}
    ),
}


def pool_of(name: str, cache: Path) -> Pool:
    """The pool of a data set, from the folder `cache` or from a new training. Needs BERTUNE_DATA."""
    path = cache / f"{name}.npz"
    if not path.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        pool = _computed(SETS[name])
        np.savez_compressed(
            path, logits=pool.logits_NC.astype(np.float32), gold=pool.gold, labels=np.array(pool.labels)
        )
    stored = np.load(path)
    return Pool(stored["logits"].astype(np.float64), stored["gold"], tuple(stored["labels"].tolist()))


def _computed(chosen: PoolSet) -> Pool:
    import bertune
    from bertune.predict.predictor import Predictor

    rows = chosen.read(Path(os.environ["BERTUNE_DATA"]))
    random.Random(0).shuffle(rows)
    train, rest = rows[: chosen.num_train], rows[chosen.num_train :][: chosen.most]
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.jsonl"
        with file.open("w", encoding="utf-8") as lines:
            lines.writelines(json.dumps({"text": text, "label": label}) + "\n" for text, label in train)
        settings = {"model.name": "minilm", "train.warmup": 0.1, **chosen.settings}
        run = bertune.train(file, settings=settings, out=Path(folder) / "run")
        model = bertune.load(run)
    read = model.tokenize([text for text, _ in rest])
    outputs = Predictor(model.fitted, model.backend)(
        read.examples, read.sequences, lambda outputs, sequences, example: outputs[0]
    ).predictions
    index = {label: number for number, label in enumerate(model.labels)}
    kept = [label for (_, label), is_readable in zip(rest, read.is_readable, strict=True) if is_readable]
    if isinstance(kept[0], list):
        gold = np.zeros((len(kept), len(index)), np.int64)
        for row, labels in enumerate(kept):
            gold[row, [index[label] for label in labels]] = 1
    else:
        gold = np.array([index[label] for label in kept])
    return Pool(np.stack(outputs).astype(np.float64), gold, model.labels)
