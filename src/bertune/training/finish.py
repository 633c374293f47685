"""Owns the end of a training: the best weights are scored, saved and recorded."""

import resource
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from bertune.config import TaskConfig
from bertune.data.tables import file_suffix
from bertune.errors import Interrupted
from bertune.files import shell_word, to_json
from bertune.infer import Outcome, Predictor, plain
from bertune.metadata import ModelMetadata, own_files
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.model_folder import LoadedModel, save
from bertune.nn.vocabulary import use_all
from bertune.prepare import Prepared
from bertune.run_writer import RunWriter
from bertune.training.checkpoint import load_model_tensors
from bertune.training.events import Event, Finished, Warned
from bertune.training.session import Session
from bertune.training.signals import StopFlag


def finish(
    session: Session, prepared: Prepared, writer: RunWriter, stop: StopFlag, started: float
) -> Iterator[Event]:
    """Scores validation and test with the kept weights, writes model, predictions and manifest."""

    def poll() -> None:
        if stop.is_set:
            raise Interrupted(
                "stopped while scoring the trained model; training itself is done and saved. "
                f"Go on with: bertune train {shell_word(writer.run.path)} --resume"
            )

    progress, trainee = session.progress, session.trainee
    if not session.holds_best:
        load_model_tensors(trainee.model, session.checkpoints.load_best(progress.best_step))
    fitted = trainee.fitted
    predictor = Predictor(trainee.model, fitted, trainee.machine, poll)
    scores: dict[str, Any] = {}
    details: dict[str, Any] = {}
    warnings = list(prepared.warnings)
    for name, part in prepared.parts.items():
        if name == "train":
            continue
        outcome = session.outcome_on(part) or predictor(part.examples, part.sequences)
        found = fitted.score(outcome.predictions, part.examples)
        scores[name], details[name] = found.values, found.details
        said = fitted.warnings(outcome.predictions, part.examples, part.sequences)
        new = [f"{name}: {warning}" for warning in said]
        if name != "validation":  # of the validation texts it was said when they were last evaluated
            yield from (Warned(text) for text in new)
        warnings += new
        writer.write_predictions(name, prediction_lines(part.examples, outcome))
        for suffix, lines in fitted.extra_prediction_files(part.examples, outcome.predictions).items():
            writer.write_lines(f"{name}.{suffix}", lines)
        wrong = fitted.mistakes(outcome.predictions, part.examples)
        if wrong is not None:
            writer.write_lines(f"{name}.mistakes.json", [to_json(asdict(wrong), indent=None)])
    session.make_room()
    use_all(trainee.model.encoder)
    save(writer.run.model_path, loaded_model(prepared, trainee.model))
    manifest = writer.run.manifest
    writer.complete(
        warnings=warnings,
        scores=scores,
        details=details,
        training=manifest["training"]
        | {
            "steps_done": progress.step,
            "stopped_early": session.stopped_early,
            "best": {
                "step": progress.best_step,
                "epoch": round(progress.best_step / manifest["training"]["steps_per_epoch"], 6),
                "score": manifest["primary"],
                "value": progress.best_value,
                "lower_is_better": manifest["primary"] in LOWER_IS_BETTER,
            },
        },
        timings={
            "train_seconds": round(progress.train_seconds, 3),
            "evaluate_seconds": round(progress.evaluate_seconds, 3),
            "total_seconds": round(time.perf_counter() - started, 3),
            "train_examples_per_second": round(progress.examples_seen / progress.train_seconds, 2),
        },
        peak_memory_mb=peak_memory_mb(),
    )
    writer.clear_working_files()
    yield Finished(writer.run)


def prediction_lines(examples: Iterable[Any], outcome: Outcome) -> Iterator[dict[str, Any]]:
    """The stored form of predictions: where the text is from, what it is, and what was said about it."""
    for example, prediction in zip(examples, outcome.predictions, strict=True):
        yield {
            "id": example.id,
            "source": str(example.origin),
            "text": list(example.texts),
            "gold": example.gold,
            **plain(prediction),
        }


def loaded_model(prepared: Prepared, model: Any) -> LoadedModel:
    """The trained model with all that its folder records."""
    config = prepared.config
    reading = config.data.model_dump(
        include={"delimiter", "quoting", "encoding", "reader"}, exclude_defaults=True
    )
    fitted = prepared.encoder.fitted
    resolved = fitted.options.model_dump(mode="json", exclude_unset=True)
    metadata = ModelMetadata(
        task=TaskConfig(name=config.task.name, **resolved),
        labels=fitted.labels,
        max_length=prepared.encoder.max_length,
        columns=prepared.columns,
        reading=reading | {"suffix": file_suffix(config.data.train or "")},
        head=config.model.head,
        precision=config.machine.precision,
        own_files=own_files(config.task.name, config.model.head, config.data.reader),
    )
    return LoadedModel(model, prepared.encoder.tokenizer, fitted, metadata)


def peak_memory_mb() -> float:
    """The most memory this process has held, in MB of 2**20 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
