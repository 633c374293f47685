"""Builds fake run folders with the layout that training writes; nothing is trained."""

import json
import math
import random
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bertune.config import Config, TaskConfig
from bertune.data.rows import Origin
from bertune.run import Run
from bertune.tasks import make_task
from bertune.tasks.classification.task import Example, LabelPrediction

PAIRS = [
    ("The sailors rode the breeze clear of the rocks.", "1"),
    ("The weights made the rope stretch over the pulley.", "1"),
    ("Bill squeezed the puppet through the hole.", "1"),
    ("If you had eaten more, you would want less.", "1"),
    ("As you eat the most, you want the least.", "0"),
    ("The more you would want, the less you would eat.", "0"),
    ("I demand that the more John eat, the more he pays.", "0"),
    ("Mary listens to the Grateful Dead, she gets depressed.", "0"),
    ("Kim is eager to recommend.", "0"),
    ("Who did John send the book?", "0"),
]
HOSTILE = [
    "<script>alert('owned')</script>",
    "</svg></style></pre></bdi><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }} {% raw %} {# gone #}",
    "right \u202eto left override \u200f and שלום עולם",
    "an emoji 😀 and 中文 and a \x00 control \x1b[31m character",
    r"$\alpha$ & \$5 in <b>mathtext</b>",
    "half of a pair \ud83d",
]


def steps(total: int, per_epoch: int, overfits: bool = True) -> list[dict[str, Any]]:
    """A plausible run: training loss falls; if `overfits`, validation loss rises after epoch two."""
    draw = random.Random(7)
    lines: list[dict[str, Any]] = []
    since: list[float] = []
    for step in range(1, total + 1):
        epoch = step / per_epoch
        loss = 0.72 * math.exp(-0.45 * epoch) + 0.02 + abs(draw.gauss(0, 0.07))
        since.append(loss)
        line: dict[str, Any] = {
            "step": step,
            "epoch": epoch,
            "loss": loss,
            "lr": 5e-5 * min(step / (0.1 * total), (total - step) / (0.9 * total)),
            "grad_norm": 1.3 + draw.random(),
        }
        if step % per_epoch == 0:
            number = step // per_epoch
            rise = 0.07 * max(0, number - 2) if overfits else -0.03 * max(0, number - 2)
            mcc = [0.21, 0.34, 0.41, 0.4, 0.39][min(number, 5) - 1]
            line["validation"] = {
                "loss": 0.64 - 0.06 * min(number, 2) + rise,
                "accuracy": 0.68 + 0.1 * mcc,
                "f1": 0.8 + 0.1 * mcc,
                "macro_f1": 0.5 + 0.4 * mcc,
                "mcc": mcc,
                "roc_auc": 0.6 + 0.3 * mcc,
                "log_loss": 0.64 - 0.06 * min(number, 2) + rise,
                "seconds": 1.2,
                "train_loss": sum(since) / len(since),
                "is_best": number <= 3,
            }
            since = []
        lines.append(line)
    return lines


def split(rows: int, counts: dict[str, int], source: str = "train.tsv", middle: int = 11) -> dict[str, Any]:
    """The audit record of one split."""
    edges = list(range(0, 50, 2))
    heights = [round(rows * math.exp(-((edge - middle) ** 2) / 50) / 6.3) for edge in edges[:-1]]
    return {
        "source": f"/data/cola/{source}",
        "rows": rows,
        "sha256": "3fd2c1" * 10,
        "labels": counts,
        "duplicates": rows // 700,
        "truncated": 0,
        "tokens": {"min": 4, "p50": 11, "p90": 17, "p95": 20, "p99": 27, "max": 47, "mean": 11.3},
        "histogram": {"edges": edges, "counts": heights},
    }


def manifest(name: str = "cola", **changes: Any) -> dict[str, Any]:
    """A complete binary run with a test split."""
    blocks = [{"name": "embeddings", "parameters": 11_929_344, "trained": False}]
    blocks += [{"name": f"layer {i}", "parameters": 1_774_464, "trained": True} for i in range(6)]
    blocks += [{"name": "head", "parameters": 148_610, "trained": True}]
    return {
        "format": 1,
        "name": name,
        "status": "complete",
        "created": "2026-11-21T00:10:00+00:00",
        "source": "cola",
        "task": "classification",
        "primary": "mcc",
        "labels": ["0", "1"],
        "notes": [
            "in_domain_train.tsv: tab-separated, no header, no quoting; text is column 3, label column 1",
            "validation: 527 rows of in_domain_dev.tsv",
        ],
        "warnings": [],
        "data": {
            "columns": {"text": ["3"], "label": "1"},
            "splits": {
                "test": split(516, {"0": 162, "1": 354}, "out_of_domain_dev.tsv", 9),
                "validation": split(527, {"0": 162, "1": 365}, "in_domain_dev.tsv", 12),
                "train": split(8551, {"0": 2528, "1": 6023}),
            },
            "shared_texts": {"train/validation": 3, "train/test": 0, "validation/test": 0},
        },
        "max_length": {
            "value": 47,
            "why": "the longest text has 47 tokens; nothing is truncated",
            "model_limit": 512,
        },
        "model": {
            "name": "minilm",
            "weights": "pretrained",
            "class": "BertForSequenceClassification",
            "parameters": 22_713_986,
            "blocks": blocks,
        },
        "training": {
            "total_steps": 1072,
            "steps_per_epoch": 268,
            "warmup_steps": 107,
            "steps_done": 1072,
            "stopped_early": False,
            "best": {"step": 804, "epoch": 3.0, "score": "mcc", "value": 0.41},
        },
        "scores": {
            "validation": binary_scores(0.41),
            "test": binary_scores({"value": 0.225, "low": 0.14, "high": 0.31}),
        },
        "details": {"test": binary_details(), "validation": binary_details()},
        "machine": {
            "device": "cpu",
            "device_name": "AMD EPYC 7B13",
            "precision": "bf16",
            "threads": 2,
            "tokens": 4096,
        },
        "versions": {"bertune": "0.1.0", "torch": "2.13.0", "transformers": "5.23.0", "python": "3.11.7"},
        "timings": {
            "train_seconds": 412.3,
            "evaluate_seconds": 6.1,
            "total_seconds": 431.0,
            "train_examples_per_second": 83.1,
        },
        "peak_memory_mb": 1500,
        **changes,
    }


def binary_scores(mcc: Any) -> dict[str, Any]:
    """The scores of binary classification."""
    return {
        "accuracy": 0.706,
        "precision": 0.731,
        "recall": 0.907,
        "f1": 0.81,
        "macro_f1": 0.583,
        "mcc": mcc,
        "roc_auc": None,
        "log_loss": 0.601,
    }


def binary_details() -> dict[str, Any]:
    """The score details of binary classification."""
    draw = random.Random(3)
    return {
        "baseline": {
            "score": "accuracy",
            "value": 0.686,
            "how": "always the most frequent label, “1”",
        },
        "labels": ["0", "1"],
        "per_class": [
            {"label": "0", "precision": 0.55, "recall": 0.265, "f1": 0.357, "support": 162},
            {"label": "1", "precision": 0.731, "recall": 0.907, "f1": 0.81, "support": 354},
        ],
        "confusion_matrix": [[43, 119], [33, 321]],
        "by_batch": {
            "score": "mcc",
            "batch_size": 32,
            "values": [*(round(draw.gauss(0.22, 0.18), 3) for _ in range(16)), None],
            "total": 0.225,
        },
    }


def many_details(labels: list[str], each: int = 20, right: float = 0.7) -> dict[str, Any]:
    """Score details for any number of labels, with most predictions correct."""
    draw = random.Random(5)
    size = len(labels)
    matrix = [[0] * size for _ in labels]
    for gold in range(size):
        for _ in range(each):
            near = (gold + draw.choice([1, 1, 1, 2, 5, draw.randrange(size)])) % size
            matrix[gold][gold if draw.random() < right else near] += 1
    return {
        "labels": labels,
        "per_class": [
            {
                "label": label,
                "precision": 0.7,
                "recall": matrix[i][i] / each,
                "f1": matrix[i][i] / each,
                "support": each,
            }
            for i, label in enumerate(labels)
        ],
        "confusion_matrix": matrix,
        "by_batch": {
            "score": "accuracy",
            "batch_size": 32,
            "values": [0.7 + draw.gauss(0, 0.05) for _ in range(size * each // 32 + 1)],
            "total": right,
        },
    }


def predictions(num: int, labels: tuple[str, ...] = ("0", "1")) -> list[dict[str, Any]]:
    """Predictions in source order, about a third of them wrong."""
    draw = random.Random(11)
    lines = []
    for i in range(num):
        text, gold = PAIRS[i % len(PAIRS)]
        gold = labels[int(gold) % len(labels)]
        sure = 0.5 + draw.random() / 2
        label = gold if draw.random() < 0.66 else labels[(labels.index(gold) + 1) % len(labels)]
        other = labels[(labels.index(label) + 1) % len(labels)]
        lines.append(
            {
                "id": f"row-{i}",
                "source": f"out_of_domain_dev.tsv, line {i + 1}",
                "text": [text],
                "gold": gold,
                "label": label,
                "probabilities": {other: 1 - sure, gold: (1 - sure) / 2, label: sure},
            }
        )
    return lines


def write_run(
    folder: Path,
    recorded: dict[str, Any],
    metrics: list[dict[str, Any]],
    predicted: dict[str, list[dict[str, Any]]] | None = None,
) -> Run:
    """Writes a run folder as training leaves it, without weights."""
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(Config().to_toml(), encoding="utf-8")
    # ASCII, because a text may hold half of a surrogate pair.
    (folder / "manifest.json").write_text(json.dumps(recorded), encoding="utf-8")
    (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in metrics), encoding="utf-8"
    )
    for name, lines in (predicted or {}).items():
        (folder / "predictions").mkdir(exist_ok=True)
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / "predictions" / f"{name}.jsonl").write_text(text, encoding="utf-8")
        (folder / "predictions" / f"{name}.mistakes.json").write_text(json.dumps(mistakes(lines)))
    return Run(folder)


def mistakes(lines: list[dict[str, Any]]) -> dict[str, Any]:
    """The stored errors that classification reports for these predictions."""
    examples, predictions = [], []
    for line in lines:
        file, _, number = line["source"].rpartition(", line ")
        examples.append(Example(line["id"], Origin(file, int(number)), tuple(line["text"]), line["gold"]))
        predictions.append(LabelPrediction(line["label"], line["probabilities"]))
    result: Any = make_task(TaskConfig(name="classification")).fitted().mistakes(predictions, examples)
    return asdict(result.shortened())


def binary(folder: Path) -> Run:
    """Two labels, a test split, overfitting, hostile texts and one text of ten thousand words."""
    lines = predictions(516)
    for i, text in enumerate([*HOSTILE, "word " * 10_000]):
        sure = {"0": 0.9991, "1": 0.0009}
        lines[i] |= {"text": [text], "gold": "1", "label": "0", "probabilities": sure}
    return write_run(folder, manifest(), steps(1072, 268), {"test": lines})


def four_labels(folder: Path) -> Run:
    """Chinese labels and text pairs, no test split, no overfitting."""
    labels = ["财经", "体育", "科技 & <娱乐>", "娱乐"]
    lines = predictions(200, tuple(labels))
    for line in lines:
        line["text"] = ["今天的股市上涨了百分之三。", "第二句话"]
    counts = dict.fromkeys(labels, 300)
    recorded = manifest(
        "新闻",
        primary="macro_f1",
        labels=labels,
        warnings=["train: 37 of 8,551 texts (0.4%) are truncated"],
        scores={"validation": binary_scores(0.41)},
        details={"validation": many_details(labels, 50)},
    )
    recorded["data"] = {
        "columns": {"text": ["a", "b"], "label": "c"},
        "splits": {"train": split(1200, counts), "validation": split(200, dict.fromkeys(labels, 50))},
        "shared_texts": {"train/validation": 0},
    }
    recorded["training"] |= {"total_steps": 90, "steps_per_epoch": 30, "steps_done": 90}
    recorded["training"]["best"] = {"step": 90, "epoch": 3.0, "score": "macro_f1", "value": 0.664}
    return write_run(folder, recorded, steps(90, 30, overfits=False), {"validation": lines})


def many_labels(folder: Path) -> Run:
    """A hundred and fifty labels, some of them hostile."""
    labels = [f"intent_{i:03}" for i in range(143)] + [
        "<b>",
        "a_$x$_b",
        "$\\alpha$",
        "🤖",
        "</svg>",
        "",
        "٣ عربي",
    ]
    details = many_details(labels)
    scores = {"accuracy": 0.7, "macro_f1": 0.69, "mcc": 0.69}
    recorded = manifest(
        "clinc150", primary="accuracy", labels=labels, scores={"test": scores}, details={"test": details}
    )
    for part in recorded["data"]["splits"].values():
        part |= {"labels": dict.fromkeys(labels, 20), "rows": 3000}
    return write_run(folder, recorded, steps(1072, 268), {"test": predictions(3000, tuple(labels))})


def interrupted(folder: Path) -> Run:
    """Interrupted within the second epoch, without final evaluation."""
    recorded = manifest(status="interrupted", training={"total_steps": 1072, "steps_per_epoch": 268})
    for key in ("scores", "details", "timings", "peak_memory_mb", "versions", "machine"):
        del recorded[key]
    return write_run(folder, recorded, steps(1072, 268)[:400])


def all_null(folder: Path) -> Run:
    """All entries present but empty: a run whose loss was never finite."""
    lines = [
        {"step": i, "epoch": i / 10, "loss": math.nan, "lr": None, "grad_norm": math.inf}
        for i in range(1, 31)
    ]
    lines[9]["validation"] = {
        "loss": None,
        "mcc": None,
        "accuracy": math.nan,
        "seconds": None,
        "is_best": False,
    }
    recorded = manifest(scores={"test": dict.fromkeys(binary_scores(0), None)}, timings=None, machine=None)
    recorded["details"]["test"]["by_batch"]["values"] = [None] * 17
    recorded["details"]["test"]["per_class"] = [
        {"label": label, "precision": None, "recall": math.nan, "f1": None, "support": 0} for label in "01"
    ]
    recorded["details"]["test"]["confusion_matrix"] = [[162, 0], [354, 0]]
    recorded["training"]["best"] = None
    for part in recorded["data"]["splits"].values():
        part |= {"labels": None, "tokens": None, "histogram": None}
    unsure = [line | {"probabilities": dict.fromkeys("01", math.nan)} for line in predictions(30)]
    return write_run(folder, recorded, lines, {"test": unsure})


def bare(folder: Path) -> Run:
    """Only a format number: a run that stopped before its first step."""
    return write_run(folder, {"format": 1, "name": "bare"}, [])


EVERY_RUN = (binary, four_labels, many_labels, interrupted, all_null, bare)
