"""Measures what each export format changes: differences, flips, scores, size and speed of trained models.

    BERTUNE_DATA=FOLDER python benchmarks/exports.py runs/exports
    python benchmarks/exports.py runs/exports --only sst2 --page

Each model is trained briefly on part of a published data set, exported in every format with limits that
accept any difference, and once more to int8 with the default limits. Models that are already in the folder
are not trained again. Results are stored in benchmarks/results/exports.json and rendered as
benchmarks/exports.md.
"""

from __future__ import annotations

import argparse
import json
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bertune
from bertune.errors import GateError
from bertune.export.formats import FORMATS

RESULTS = Path(__file__).parent / "results" / "exports.json"
PAGE = Path(__file__).parent / "exports.md"
ANY_DIFFERENCE = {"export.max_difference": 1e9, "export.max_flips": 1.0, "export.max_score_loss": 1e9}
WITH_LIMITS = "onnx-int8 with the default limits"
QUANTIZED = "onnx-int8"


@dataclass(frozen=True)
class Model:
    """A model to train: a named data set, and settings."""

    source: str
    about: str
    settings: Mapping[str, Any]


def _model(source: str, about: str, **settings: Any) -> Model:
    return Model(source, about, {key.replace("__", "."): value for key, value in settings.items()})


MODELS = {
    "sst2": _model("sst2", "classification", train__max_examples=6000, train__lr=1e-4),
    "banking77": _model("banking77", "classification, 77 labels", train__epochs=2, train__lr=3e-4),
    "stsb": _model("stsb", "regression", train__lr=1e-4),
    "conll2003": _model("conll2003", "token_classification", train__max_examples=4000, train__lr=2e-4),
    "squad1_slice": _model(
        "squad1_slice", "question_answering",
        train__lr=2e-4, model__max_length=256, data__validation_fraction=0.2,
    ),
    "wikiqa": _model("wikiqa", "ranking", train__max_examples=5000, train__lr=1e-4),
    "embeddings": _model("stsb", "embeddings", task__name="embeddings", train__lr=2e-5),
    "language_modelling": _model(
        "wikiqa", "language_modelling",
        task__name="language_modelling", data__text="1", train__max_examples=3000,
    ),
}  # fmt: skip
USUAL = {"model.name": "minilm", "train.epochs": 1}


def trained(name: str, folder: Path, threads: int) -> Path:
    """The run of a model, trained unless it exists."""
    run = folder / name
    if not run.is_dir():
        model = MODELS[name]
        settings = {**USUAL, "machine.threads": threads, **model.settings}
        bertune.train(model.source, settings=settings, out=run, progress=True)
    return run


def measured(run: Path, threads: int) -> Iterator[tuple[str, dict[str, Any]]]:
    """The comparison of each format, by its name."""
    machine = {"machine.threads": threads}
    for name in FORMATS:
        found = bertune.export(run, name, settings={**machine, **ANY_DIFFERENCE}, on_progress=print)
        yield name, dict(found.parity)
    try:
        found = bertune.export(run, QUANTIZED, settings=machine, on_progress=print)
    except GateError as error:
        yield WITH_LIMITS, {"refused": str(error)}
    else:
        yield WITH_LIMITS, dict(found.parity)


def page(results: Mapping[str, Any]) -> str:
    """The results as Markdown."""
    machine = results["machine"]
    lines = [
        "# What the export formats change",
        "",
        "all-MiniLM-L6-v2 is fine-tuned briefly on part of a data set, and each export predicts the "
        "validation rows. Differences are those from the trained model in fp32: the largest of a probability "
        "or another predicted number (relative for numbers above 1), flips (rows whose label, entities or "
        "answer differ), and the score that selects checkpoints. Speed is relative to the trained model in "
        "its usual precision. Every format was measured with limits that accept any difference.",
        "",
        "Multi-label classification and multiple choice are not included: with so little training, this "
        "encoder learns neither GoEmotions nor DREAM, and a comparison of a model that has learned nothing "
        "is meaningless. The tests export every task.",
        "",
        f"Measured with `python benchmarks/exports.py runs/exports` on {machine['processor']}, "
        f"{machine['threads']} thread(s), with torch {machine['torch']}, ONNX Runtime "
        f"{machine['onnxruntime']} and bertune {machine['bertune']}. {machine['note']}",
        "",
    ]
    for name in FORMATS:
        lines += [
            f"## {name}",
            "",
            "| data | task | rows | largest difference | flips | score | model | export | MB | speed |",
            "|---|---|---:|---:|---:|---|---:|---:|---:|---:|",
        ]
        for data, parities in results["models"].items():
            if name in parities:
                lines.append(_row(data, parities[name]))
        lines.append("")
    lines += [
        f"## {WITH_LIMITS}",
        "",
        "Where quantizing everything exceeds a limit, bertune leaves the most harmful parts in fp32.",
        "",
        "| data | parts in fp32 | largest difference | flips | MB |",
        "|---|---|---:|---:|---:|",
    ]
    for data, parities in results["models"].items():
        if WITH_LIMITS in parities:
            lines.append(_limited_row(data, parities[WITH_LIMITS]))
    return "\n".join(lines) + "\n"


def _row(data: str, parity: Mapping[str, Any]) -> str:
    score = parity["scores"][parity["primary"]]
    speed = parity["speed"]["export"]["rows_per_second"] / parity["speed"]["model"]["rows_per_second"]
    cells = (
        data, MODELS[data].about, f"{parity['rows']:,}", f"{parity['largest_difference']:.2g}",
        f"{parity['flips']:,} ({parity['flip_share']:.2%})", parity["primary"], f"{score['model']:.4f}",
        f"{score['export']:.4f}", f"{parity['size_mb']['export']:.1f}", f"{speed:.2f} x",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _limited_row(data: str, parity: Mapping[str, Any]) -> str:
    if "refused" in parity:
        return f"| {data} | refused | | | |"
    kept = len(parity["parts_in_fp32"])
    return (
        f"| {data} | {kept} modules | {parity['largest_difference']:.2g} | {parity['flip_share']:.2%} | "
        f"{parity['size_mb']['export']:.1f} |"
    )


def main() -> None:
    """Trains, exports and measures, and writes the page after each model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path, help="folder of the trained models")
    parser.add_argument("--only", default=",".join(MODELS), help="names of models, separated by commas")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--note", default="", help="a sentence on the machine, such as how busy it was")
    parser.add_argument("--page", action="store_true", help="render the stored results, measure nothing")
    options = parser.parse_args()
    for name in [] if options.page else options.only.split(","):
        run = trained(name, options.folder, options.threads)
        found = dict(measured(run, options.threads))
        results = stored()  # only now, because other models may be measured at the same time
        results["machine"] = {
            "processor": _processor(), "threads": options.threads, "note": options.note,
            **{package: version(package) for package in ("torch", "onnxruntime", "bertune")},
        }  # fmt: skip
        results["models"][name] = found
        results["models"] = {key: results["models"][key] for key in MODELS if key in results["models"]}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(page(stored()), encoding="utf-8")


def stored() -> dict[str, Any]:
    """The results so far."""
    found: dict[str, Any] = {"models": {}}
    return json.loads(RESULTS.read_bytes()) if RESULTS.is_file() else found


def _processor() -> str:
    """The name of the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    named = (line.partition(": ")[2] for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


if __name__ == "__main__":
    main()
