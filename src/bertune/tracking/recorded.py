"""The values that trackers log, as flat names and plain values."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bertune import gates
from bertune.config import Config
from bertune.cross_validation import CrossValidation
from bertune.files import to_json
from bertune.manifest.results import GateRecord
from bertune.run import Run
from bertune.tracking.tracker import Fact, Results, Row

if TYPE_CHECKING:
    from bertune.training.loop import Step

# Entries of the line of an evaluation that are not scores.
_NOT_SCORES = {"step", "epoch", "train_loss", "seconds", "is_best"}

# Entries of the line of a step that are logged.
_OF_STEPS = {"loss", "lr", "grad_norm", "epoch"}


def settings_of(config: Config) -> dict[str, Fact]:
    """The settings that are set, by section.key; lists as text."""
    return {
        f"{section}.{key}": _fact(value)
        for section, values in config.to_settings().items()
        for key, value in values.items()
    }


def facts_of(manifest: Mapping[str, Any]) -> dict[str, Fact]:
    """The entries of the manifest on data, model, machine and versions before the first step."""
    model, training = manifest.get("model") or {}, manifest.get("training") or {}
    found: dict[str, Any] = {
        "source": manifest.get("source"),
        "task": manifest.get("task"),
        "labels": len(manifest.get("labels") or ()) or None,
        "max_length": (manifest.get("max_length") or {}).get("value"),
        "model.class": model.get("class"),
        "model.parameters": model.get("parameters"),
        "model.forward": model.get("forward"),
        "steps": training.get("total_steps"),
    }
    for split, values in ((manifest.get("data") or {}).get("splits") or {}).items():
        found |= {f"data.{split}.rows": values.get("rows"), f"data.{split}.sha256": values.get("sha256")}
    found |= {f"machine.{key}": value for key, value in (manifest.get("machine") or {}).items()}
    found |= {f"versions.{key}": value for key, value in (manifest.get("versions") or {}).items()}
    return {key: _fact(value) for key, value in found.items() if value is not None}


def step_row(step: "Step", prefix: str, number: int) -> Row:
    """The values of an optimizer step."""
    values = {
        "loss": step.loss,
        "lr": step.lr,
        "grad_norm": step.grad_norm,
        "epoch": step.epoch,
        "examples_per_second": step.examples / max(step.seconds, 1e-9),
    }
    return Row(number, {f"{prefix}/{key}": value for key, value in values.items()})


def evaluation_row(line: Mapping[str, Any]) -> Row:
    """The scores of an evaluation, without undefined ones."""
    values = {key: value for key, value in line.items() if key not in _NOT_SCORES}
    return Row(line["step"], dict(_finite("validation", values)))


def rows_of(run: Run, last: int) -> Iterator[Row]:
    """The rows up to a step, from metrics.jsonl. Raises DamagedError."""
    for line in run.metrics()[:last]:
        values = {key: value for key, value in line.items() if key in _OF_STEPS}
        yield Row(line["step"], dict(_finite("train", values)))
        if "validation" in line:
            yield evaluation_row({"step": line["step"], **line["validation"]})


def results_of(run: Run, last_step: int, artifacts: tuple[str, ...] = ()) -> Results:
    """The final scores of a complete run with their intervals, gates and times. Raises InputError."""
    manifest = run.manifest
    scores: dict[str, float] = {}
    for split, values in (manifest.get("scores") or {}).items():
        scores |= dict(_finite(split, values or {}))
        for name, ends in (((manifest.get("intervals") or {}).get(split) or {}).get("scores") or {}).items():
            low, high = ends or (None, None)
            scores |= dict(_finite(split, {f"{name}_low": low, f"{name}_high": high}))
    facts: dict[str, Any] = {
        "best_step": ((manifest.get("training") or {}).get("best") or {}).get("step"),
        "verdict": (manifest.get("baselines") or {}).get("verdict"),
        "decision": (manifest.get("decision") or {}).get("sentence"),
        "peak_memory_mb": manifest.get("peak_memory_mb"),
        **(manifest.get("timings") or {}),
    }
    checked = [GateRecord.model_validate(gate) for gate in manifest.get("gates") or ()]
    for gate in checked:
        facts[f"gate.{gate.score}"] = f"{'passed' if gate.passed else 'failed'}: {gates.described(gate)}"
    if checked:
        facts["gates"] = "passed" if all(gate.passed for gate in checked) else "failed"
    seeds = manifest.get("seeds")
    if seeds:
        facts["best_seed"] = seeds["best"]
        for split, values in (seeds.get("spread") or {}).items():
            for name, one in values.items():
                spread = {f"{name}_{key}": (one or {}).get(key) for key in ("mean", "sd")}
                scores |= dict(_finite(f"seeds/{split}", spread))
    return Results(
        scores,
        _plain(facts),
        last_step,
        _folder(run.path / "report", "report" in artifacts),
        _folder(run.model_path, "model" in artifacts),
    )


def results_of_folds(result: CrossValidation, artifacts: tuple[str, ...]) -> Results:
    """The scores of a cross-validation: mean and deviation over the folds, and pooled. Raises InputError."""
    record = result.record
    scores: dict[str, float] = {}
    for name, values in result.scores.items():
        scores |= dict(_finite("folds", {f"{name}_{key}": value for key, value in values.items()}))
    facts = {"folds": record.num_folds, "repeats": record.num_repeats, "seconds": record.seconds}
    return Results(scores, _plain(facts), 0, _folder(result.path / "report", "report" in artifacts), None)


def _folder(path: Path, is_wanted: bool) -> Path | None:
    return path if is_wanted and path.is_dir() else None


def _finite(prefix: str, values: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in values.items():
        if isinstance(value, int | float) and math.isfinite(value):
            yield f"{prefix}/{name}", float(value)


def _plain(facts: Mapping[str, Any]) -> dict[str, Fact]:
    return {key: _fact(value) for key, value in facts.items() if value is not None}


def _fact(value: Any) -> Fact:
    if isinstance(value, list | tuple) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    return value if isinstance(value, str | int | float | bool) else to_json(value, indent=None)
