"""The final steps after the last optimizer step.

The best weights are loaded, the validation and test splits are evaluated, predictions and model are written,
and the run is marked as complete. The temperature and the decision rule are fitted before the evaluation, on
rows that selected no checkpoint.
"""

import resource
import sys
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from bertune import gates
from bertune.config import TaskConfig
from bertune.data.formats import file_suffix
from bertune.data.rows import Origin
from bertune.errors import Interrupted, ResourceError
from bertune.files import shell_word, to_json
from bertune.manifest import ManifestRecord
from bertune.manifest.training import BestRecord, RefitRecord
from bertune.metadata import ModelMetadata, own_files
from bertune.metrics.calibration import MEASURES, comparison, measure
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.nn.memory import memory_errors
from bertune.nn.vocabulary import restore_vocabulary
from bertune.predict.deciding import Decided, RowOutputs, fit_decisions, with_decisions
from bertune.predict.predictor import Predictor
from bertune.predict.torch_backend import TorchBackend
from bertune.predict.writers import prediction_lines
from bertune.record import Record
from bertune.run_writer import RunWriter
from bertune.saved_model import LoadedModel, save
from bertune.tasks.parts.score_intervals import Rescored, intervals_record, rescored
from bertune.training.checkpoint import load_model_tensors
from bertune.training.error_analysis import explained, slices_of, write_label_errors
from bertune.training.evaluation import ScoredSplit, evaluate
from bertune.training.events import Event, Noted, Warned
from bertune.training.loop import TrainState
from bertune.training.model_card import write_model_card
from bertune.training.outputs import OUTPUTS, save_outputs
from bertune.training.preparing import Prepared
from bertune.training.refitting import refit, refit_note
from bertune.training.session import Session
from bertune.training.signals import StopFlag
from bertune.training.simple_models import FineTuned, baselines
from bertune.training.splitting import CALIBRATION


@dataclass
class Trained:
    """A training run after its last optimizer step, with the results of the final steps so far."""

    session: Session
    prepared: Prepared
    writer: RunWriter
    poll: Callable[[], None]  # called between batches; may raise an exception to stop
    started: float  # time.perf_counter() at the start of training
    evaluations: dict[str, ScoredSplit] = field(default_factory=dict)  # by split
    refit: RefitRecord | None = None  # if the model was trained again on training and validation rows
    rescored: dict[str, Rescored] = field(default_factory=dict)  # their resamples
    records: dict[str, Any] = field(default_factory=dict)  # "calibration" and "decision" of the manifest
    measures: dict[str, float] = field(default_factory=dict)  # of calibration, on the final split


@dataclass(frozen=True)
class StepRecord:
    """Manifest entries and warnings of a final step."""

    entries: Mapping[str, Any] = field(default_factory=dict)  # top-level entries as records or plain JSON
    warnings: tuple[str, ...] = ()  # recorded after those of the data
    was_shown: tuple[str, ...] = ()  # warnings that were already shown
    notes: tuple[str, ...] = ()


FinalStep = Callable[[Trained], StepRecord]


def finish(
    session: Session, prepared: Prepared, writer: RunWriter, stop: StopFlag, started: float
) -> Iterator[Event]:
    """Run the `FINAL_STEPS` and complete the run."""

    def poll() -> None:
        if stop.is_set:
            raise Interrupted(
                "stopped during the final evaluation; training is complete and saved. "
                f"Continue with: bertune train {shell_word(writer.run.path)} --resume"
            )

    trained = Trained(session, prepared, writer, poll, started)
    entries: dict[str, Any] = {}
    warnings = list(prepared.warnings)
    for step in FINAL_STEPS:
        if step is save_model and prepared.config.train.refit:
            entries |= yield from _refit(trained, stop)
        record = step(trained)
        entries |= record.entries
        warnings += record.warnings
        yield from (Noted(text) for text in record.notes)
        yield from (Warned(text) for text in record.warnings if text not in record.was_shown)
    limits = prepared.config.gate.limits
    if limits:
        scores = {name: {**trained.measures, **values} for name, values in entries["scores"].items()}
        entries["gates"] = [gate.to_json() for gate in gates.measured(limits, scores)]
    write_card(trained, {**entries, "warnings": warnings})
    writer.complete(**entries, warnings=warnings)
    writer.clear_working_files()


def write_card(trained: Trained, entries: Mapping[str, Any]) -> None:
    """Write the model card, from the manifest with its last entries."""
    run, prepared = trained.writer.run, trained.prepared
    plain = {key: one.to_json() if isinstance(one, Record) else one for key, one in entries.items()}
    manifest = ManifestRecord.model_validate({**run.manifest, **plain})
    write_model_card(run.model_path, manifest, trained.session.state.fitted, prepared.pretrained)


def _refit(trained: Trained, stop: StopFlag) -> Generator[Event, None, dict[str, Any]]:
    """Train the model that is saved on training and validation rows; returns the entries of the manifest.

    It is another model, so it gets its own temperature and decision rule. They are fitted to the
    calibration rows, which neither model was trained on, so its guarantee holds.
    """
    session = trained.session
    found = yield from refit(session, trained.prepared, trained.writer, session.plan, stop)
    session.state = found.state
    decided = _decided(trained)
    trained.refit = found.record.model_copy(update={"is_decided": decided is not None})
    note = refit_note(trained.refit)
    yield Noted(note)
    entries: dict[str, Any] = {
        "refit": trained.refit,
        "notes": [*(trained.writer.run.record.notes or []), note],
    }
    if decided is not None:
        session.decide(decided.fitted)
        yield from (Noted(text) for text in decided.notes)
        yield from (Warned(text) for text in decided.warnings)
        entries |= _of_both_models(trained.records, decided)
    return entries


def _of_both_models(first: Mapping[str, Any], decided: Decided) -> dict[str, Any]:
    """The temperature and the rule of the saved model, with what was measured for the first one."""
    of_first = {
        "calibration": ("before", "after", "split"),
        "decision": ("measured",),
    }
    found = {"calibration": decided.calibration, "decision": decided.decision}
    return {
        name: {
            **record,
            **{key: value for key, value in (first[name] or {}).items() if key in of_first[name]},
        }
        for name, record in found.items()
        if record is not None
    }


def load_kept_weights(trained: Trained) -> StepRecord:
    """Load the best weights into the model and record their step."""
    session, manifest = trained.session, trained.writer.run.record
    progress, training, score = session.progress, manifest.training, manifest.primary
    assert training is not None and training.steps_per_epoch and score, "recorded at the start of every run"
    if not session.holds_best:
        load_model_tensors(session.state.model, session.checkpoints.load_best(progress.best_step))
    best = BestRecord(
        step=progress.best_step,
        epoch=round(progress.best_step / training.steps_per_epoch, 6),
        score=score,
        value=progress.best_value,
        lower_is_better=score in LOWER_IS_BETTER,
        top_step=None if progress.top is None else progress.top.step,
        top_value=None if progress.top is None else progress.top.value,
    )
    done = {"steps_done": progress.step, "stopped_early": session.stopped_early, "best": best}
    return StepRecord({"training": training.model_copy(update=done)})


def calibrate(trained: Trained) -> StepRecord:
    """Fit the temperature and the decision rule on the calibration split, if there is one."""
    decided = _decided(trained)
    if decided is None:
        return StepRecord()
    trained.session.decide(decided.fitted)
    trained.records |= {"calibration": decided.calibration, "decision": decided.decision}
    return StepRecord(warnings=decided.warnings, notes=decided.notes)


def _decided(trained: Trained) -> Decided | None:
    """Temperature and decision rule of the current model; None if there are no calibration rows."""
    prepared, state = trained.prepared, trained.session.state
    split, config = prepared.splits.get(CALIBRATION), prepared.config
    if split is None:
        return None
    fitted = replace(state.fitted, calibration=None, rule=None)
    predictor = Predictor(fitted, TorchBackend(state.model, fitted, state.machine), trained.poll)
    rows = RowOutputs.of(predictor, split.examples, split.sequences)
    is_file = config.data.calibration is not None
    source = "the calibration file" if is_file else "validation rows that did not select the checkpoint"
    return fit_decisions(fitted, rows, config.decide, config.train.seed, source)


def measured(trained: Trained, name: str, scored: ScoredSplit) -> ScoredSplit:
    """The final split with tables and figures of its calibration and decisions, which are also recorded."""
    fitted, details = trained.session.state.fitted, dict(scored.scores.details)
    if scored.terms is not None:
        trained.measures |= measure(scored.terms, fitted.calibration).plain()
    if scored.terms is not None and fitted.calibration is not None:
        before, after = (measure(scored.terms, one).plain() for one in (None, fitted.calibration))
        trained.records["calibration"] |= {"before": before, "after": after, "split": name}
        compared, figure = comparison(scored.terms, fitted.calibration, fitted.calibration_unit)
        others = [one for one in details.get("figures", []) if one["kind"] != figure["kind"]]
        details |= {"tables": [*details.get("tables", []), compared], "figures": [figure, *others]}
    examples = trained.prepared.splits[name].examples
    details, found = with_decisions(details, fitted, scored.outcome.predictions, examples)
    if found is not None:
        trained.records["decision"] |= {"measured": {"split": name, **found}}
    return replace(scored, scores=replace(scored.scores, details=details))


def evaluate_splits(trained: Trained) -> StepRecord:
    """Evaluate validation and test, reusing the last evaluation if it was made with the best weights."""
    session = trained.session
    warnings: list[str] = []
    shown: tuple[str, ...] = ()
    for name, split in trained.prepared.splits.items():
        if name not in ("train", CALIBRATION):
            keep = name == "test" and trained.prepared.keep_outputs
            is_final = name == ("test" if "test" in trained.prepared.splits else "validation")
            is_limited = not trained.prepared.config.gate.limits.keys().isdisjoint(MEASURES)
            is_calibrated = session.state.fitted.calibration is not None
            with_terms = is_final and (is_calibrated or is_limited)
            known = None if with_terms else session.evaluation_of(split)
            scored = known or evaluate(session.state, split, trained.poll, keep, with_terms)
            scored = measured(trained, name, scored) if is_final else scored
            trained.evaluations[name] = scored
            new = tuple(f"{name}: {warning}" for warning in scored.warnings)
            warnings += new
            if name == "validation":
                shown = new  # by the last evaluation in training
    return StepRecord(
        {
            "scores": {name: scored.scores.values for name, scored in trained.evaluations.items()},
            "details": {name: scored.scores.details for name, scored in trained.evaluations.items()},
            **{key: value for key, value in trained.records.items() if value is not None},
        },
        tuple(warnings),
        was_shown=shown,
    )


def compute_intervals(trained: Trained) -> StepRecord:
    """Compute the 95% interval of every score, and store the resamples, with which runs are compared."""
    fitted = trained.session.state.fitted
    records = {}
    for name, scored in trained.evaluations.items():
        examples = trained.prepared.splits[name].examples
        found = rescored(fitted, scored.outcome.predictions, examples, scored.scores)
        trained.rescored[name] = found
        records[name] = intervals_record(fitted, examples, found)
        if found.resampled is not None:
            values = found.resampled.values.items()
            arrays = {score: values_R.astype(np.float32) for score, values_R in values}
            trained.writer.write_arrays(f"{name}.resamples.npz", arrays)
    return StepRecord({"intervals": records})


def score_slices(trained: Trained) -> StepRecord:
    """Score slices of the final split, such as long texts, and compare each with the rest."""
    name = "test" if "test" in trained.evaluations else "validation"
    fitted, scores = trained.session.state.fitted, trained.evaluations[name].scores
    found = slices_of(trained.prepared, name, scores, fitted)
    return StepRecord({} if found is None else {"slices": {name: found.to_json()}})


def compare_with_simple_models(trained: Trained) -> StepRecord:
    """Score simple models on the final split. Without enough memory for them, the run has none."""
    if not trained.prepared.config.train.baselines:
        return StepRecord()
    split = "test" if "test" in trained.evaluations else "validation"
    session = trained.session
    ours = FineTuned(
        trained.rescored[split], trained.writer.run.record.primary or "", session.progress.examples_seen
    )
    try:
        with memory_errors():
            found = baselines(trained.prepared, session.state.machine, split, ours, trained.poll)
    except ResourceError as error:
        return StepRecord(warnings=(f"the simple models were skipped: {error}",))
    return StepRecord({} if found is None else {"baselines": found})


def write_predictions(trained: Trained) -> StepRecord:
    """Write the predictions for every evaluated split, and the error analysis."""
    session, writer, fitted = trained.session, trained.writer, trained.session.state.fitted
    final = "test" if "test" in trained.evaluations else "validation"
    steps = session.progress.step
    warnings = []
    session.release_buffers()
    for name, evaluation in trained.evaluations.items():
        examples, predictions = trained.prepared.splits[name].examples, evaluation.outcome.predictions
        writer.write_predictions(name, prediction_lines(examples, predictions, Origin.anywhere))
        for suffix, lines in fitted.extra_prediction_files(examples, predictions).items():
            writer.write_lines(f"{name}.{suffix}", lines)
        wrong = fitted.mistakes(predictions, examples)
        if wrong is not None:
            wrong = wrong.shortened()
            if name == final:
                try:
                    wrong = explained(wrong, trained.prepared, name, session.state, steps, trained.poll)
                except ResourceError as error:
                    warnings.append(f"the errors could not be explained: {error}")
            writer.write_lines(f"{name}.mistakes.json", [to_json(asdict(wrong), indent=None)])
        write_label_errors(trained.prepared, name, fitted, predictions, writer)
        if evaluation.outputs is not None:
            writer.write_file(f"{name}.{OUTPUTS}", partial(save_outputs, outputs=evaluation.outputs))
    return StepRecord(warnings=tuple(warnings))


def save_model(trained: Trained) -> StepRecord:
    """Write the model folder."""
    session = trained.session
    session.release_buffers()
    restore_vocabulary(session.state.model.encoder)
    model = loaded_model(trained.prepared, session.state)
    if trained.refit is not None:
        model = replace(model, metadata=replace(model.metadata, note=refit_note(trained.refit)))
    save(trained.writer.run.model_path, model)
    return StepRecord()


def record_cost(trained: Trained) -> StepRecord:
    """Record time and memory. The last step, so that the others are included."""
    progress = trained.session.progress
    timings = {
        "train_seconds": round(progress.train_seconds, 3),
        "evaluate_seconds": round(progress.evaluate_seconds, 3),
        "total_seconds": round(time.perf_counter() - trained.started, 3),
        "train_examples_per_second": round(progress.examples_seen / progress.train_seconds, 2),
    }
    return StepRecord({"timings": timings, "peak_memory_mb": peak_memory_mb()})


FINAL_STEPS: tuple[FinalStep, ...] = (
    load_kept_weights,
    calibrate,
    evaluate_splits,
    compute_intervals,
    score_slices,
    write_predictions,
    save_model,
    compare_with_simple_models,
    record_cost,
)


def loaded_model(prepared: Prepared, state: TrainState) -> LoadedModel:
    """The trained model with the metadata that its folder records."""
    config = prepared.config
    reading = config.data.model_dump(
        include={"delimiter", "quoting", "encoding", "reader", "decimal"}, exclude_defaults=True
    )
    fitted = state.fitted
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
        length_limit=prepared.length_limit,
        calibration=fitted.calibration,
        decision=fitted.rule,
    )
    return LoadedModel(state.model, prepared.encoder.tokenizer, fitted, metadata)


def peak_memory_mb() -> float:
    """The peak memory of this process in MB (2**20 bytes)."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
