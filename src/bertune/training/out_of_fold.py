"""Collects the results of all folds: out-of-fold predictions, and mean, spread and pooled scores."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bertune import gates
from bertune.cross_validation import (
    OUT_OF_FOLD,
    RECORD,
    CrossValidationRecord,
    FoldRunRecord,
    SummaryRecord,
)
from bertune.data.rows import Origin
from bertune.errors import DamagedError, counted
from bertune.files import (
    disk_errors,
    read_object,
    replacing,
    sealed,
    shown_path,
    to_json,
    write_atomically,
    write_json,
    write_jsonl,
)
from bertune.manifest.details import DetailsRecord
from bertune.manifest.mistakes import MistakesRecord
from bertune.manifest.results import GateRecord, RuleRecord
from bertune.manifest.slices import SlicesRecord
from bertune.metadata import read_metadata
from bertune.metrics.scores import Scores
from bertune.predict.deciding import summary
from bertune.predict.decision_sentences import sentence_of_folds
from bertune.predict.predictor import decoded
from bertune.predict.writers import prediction_lines
from bertune.record import checked
from bertune.run import PREDICTIONS, Run
from bertune.tasks import FittedTask
from bertune.text.sequences import Sequence as TextSequence
from bertune.training.encoded import EncodedSplit, sequences_of_rows
from bertune.training.error_analysis import with_recorded_explanations
from bertune.training.folds import Folds
from bertune.training.label_errors import (
    FOLDER,
    Originals,
    find_label_errors,
    record_of,
    write_corrections,
)
from bertune.training.outputs import OUTPUTS, load_outputs
from bertune.training.preparing import Fitted
from bertune.training.slicing import categories, slices_record


def collect(
    folds: Folds,
    fitted: Fitted,
    tokenized: Mapping[str, Sequence[TextSequence]],
    runs: Sequence[Run],
    out: Path,
    record: CrossValidationRecord,
) -> None:
    """Write the out-of-fold predictions and the complete record of a cross-validation to the folder `out`.

    The predictions are decoded again from the outputs that each fold stored, so the result does not depend
    on which process trained which fold. Raises DamagedError.
    """
    task, examples = fitted.task, folds.tables.examples["train"]
    pooled: list[Scores] = []
    decisions: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    slices: SlicesRecord | None = None
    for repeat in range(1, folds.num_repeats + 1):
        held_out = list(_held_out(folds, task, tokenized["train"], repeat, runs))
        predictions = {row: one for _, rows, found in held_out for row, one in zip(rows, found, strict=True)}
        rows = sorted(predictions)
        these, theirs = [examples[row] for row in rows], [predictions[row] for row in rows]
        pooled.append(task.score(theirs, these))
        of_row = folds.of_row[repeat - 1]
        lines += (
            {"repeat": repeat, "fold": of_row[row], **line}
            for row, line in zip(rows, prediction_lines(these, theirs, Origin.anywhere), strict=True)
        )
        if repeat == 1:
            summaries = (summary(of, found, [examples[row] for row in rows]) for of, rows, found in held_out)
            decisions = [decided for decided in summaries if decided is not None]
            slices = _slices(folds, fitted, tokenized["train"], rows, pooled[0])
            _write_analysis(fitted, these, theirs, runs[: folds.num_folds], out / PREDICTIONS)
            _write_label_errors(folds, fitted, rows, theirs, out)
    write_jsonl(out / PREDICTIONS / f"{OUT_OF_FOLD}.jsonl", lines)
    finished = [_finished(run, recorded) for run, recorded in zip(runs, record.runs, strict=True)]
    complete = record.model_copy(
        update={
            "status": "complete",
            "runs": finished,
            "scores": dict(_summaries(finished, pooled)),
            "gates": _gates(folds.tables.config.gate.limits, runs),
            "details": DetailsRecord.model_validate(pooled[0].details),
            "slices": slices,
            "decision": sentence_of_folds(fitted.task, decisions),
            "warnings": [*(record.warnings or []), *_warnings(runs)],
            "seconds": round(sum(run.seconds or 0 for run in finished), 3),
        }
    )
    write_json(out / RECORD, sealed(complete.to_json()))


def _held_out(
    folds: Folds, task: FittedTask, tokenized: Sequence[TextSequence], repeat: int, runs: Sequence[Run]
) -> Iterator[tuple[FittedTask, Sequence[int], list[Any]]]:
    """For each fold of a repetition, the task of its model, the rows held out and their predictions."""
    examples = folds.tables.examples["train"]
    for (of_repeat, fold), run in zip(folds.numbers(), runs, strict=True):
        if of_repeat == repeat:
            rows, of_fold = folds.held_out(repeat, fold), _as_saved(task, run)
            sequences = sequences_of_rows(tokenized, rows)
            yield of_fold, rows, _predictions(of_fold, examples, rows, sequences, run)


def _as_saved(task: FittedTask, run: Run) -> FittedTask:
    """The task with the temperature and the decision rule of the model of a fold. Raises DamagedError."""
    saved = read_metadata(run.model_path)
    return replace(task, calibration=saved.calibration, rule=saved.decision)


def _predictions(
    task: FittedTask, examples: Sequence[Any], rows: Sequence[int], sequences: list[TextSequence], run: Run
) -> list[Any]:
    """The predictions of a fold for the rows held out, from the stored outputs."""
    path = run.path / PREDICTIONS / f"test.{OUTPUTS}"
    outputs = load_outputs(path)
    if [len(of_example) for of_example in outputs] != _counts(sequences, len(rows)):
        raise DamagedError(
            f"{shown_path(path)} does not belong to the rows of this fold. Remove {shown_path(run.path)} and "
            "continue with --resume, which trains the fold again"
        )
    held_out = [examples[row] for row in rows]
    flat = [output for of_example in outputs for output in of_example]
    return decoded(task, held_out, _by_group(sequences), flat)


def _counts(sequences: Sequence[TextSequence], num_examples: int) -> list[int]:
    counts = [0] * num_examples
    for sequence in sequences:
        counts[sequence.group] += 1
    return counts


def _by_group(sequences: Sequence[TextSequence]) -> list[TextSequence]:
    return sorted(sequences, key=lambda sequence: sequence.group)  # stable, as the outputs were stored


def _write_analysis(
    fitted: Fitted, examples: list[Any], predictions: list[Any], runs: Sequence[Run], folder: Path
) -> None:
    """Write the errors for the report, and the additional prediction files of the task.

    `runs` are the folds that made the predictions. Raises DamagedError.
    """
    with disk_errors(folder.parent):
        folder.mkdir(exist_ok=True)
    for suffix, lines in fitted.task.extra_prediction_files(examples, predictions).items():
        with replacing(folder / f"{OUT_OF_FOLD}.{suffix}") as staging:
            staging.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    wrong = fitted.task.mistakes(predictions, examples)
    if wrong is not None:
        wrong = with_recorded_explanations(wrong.shortened(), list(_recorded_mistakes(runs)))
        content = to_json(asdict(wrong), indent=None)
        write_atomically(folder / f"{OUT_OF_FOLD}.mistakes.json", content + "\n")


def _recorded_mistakes(runs: Sequence[Run]) -> Iterator[MistakesRecord]:
    """The errors that each fold recorded, with explanations."""
    for run in runs:
        file = run.path / PREDICTIONS / "test.mistakes.json"
        if file.is_file():
            yield checked(MistakesRecord, read_object(file), file)


def _slices(
    folds: Folds, fitted: Fitted, tokenized: Sequence[TextSequence], rows: Sequence[int], scores: Scores
) -> SlicesRecord | None:
    """The scores of slices of the out-of-fold predictions of some rows."""
    tables = folds.tables
    examples = [tables.examples["train"][row] for row in rows]
    split = EncodedSplit("", examples, sequences_of_rows(tokenized, rows))
    columns = categories(tables.others.get("train", {}), tables.categories.get("train", {}), rows)
    return slices_record(split, scores, fitted.task, fitted.tokenizer, columns)


def _write_label_errors(
    folds: Folds, fitted: Fitted, rows: Sequence[int], predictions: Sequence[Any], out: Path
) -> None:
    """Write the likely label errors of all rows, and a file in which to correct them."""
    tables = folds.tables
    found = find_label_errors(fitted.task, predictions, [tables.examples["train"][row] for row in rows])
    if found is None or tables.source is None:
        return
    originals = Originals(tables.source, tables, "train", rows)
    file = write_corrections(found, originals, out / FOLDER, OUT_OF_FOLD)
    task = tables.task
    record = record_of(found, f"{FOLDER}/{file}", tables.columns, tables.config.task, task.noun)
    path = out / PREDICTIONS / f"{OUT_OF_FOLD}.label-errors.json"
    write_atomically(path, to_json(record.to_json(), indent=None) + "\n")


def _finished(run: Run, recorded: FoldRunRecord) -> FoldRunRecord:
    manifest = run.manifest
    splits = manifest["data"]["splits"]
    return recorded.model_copy(
        update={
            "rows": {name: split["rows"] for name, split in splits.items()},
            "best_step": manifest["training"]["best"]["step"],
            "total_steps": manifest["training"]["total_steps"],
            "scores": manifest["scores"]["test"],
            "seconds": manifest["timings"]["total_seconds"],
        }
    )


def _summaries(
    runs: Sequence[FoldRunRecord], pooled: Sequence[Scores]
) -> Iterator[tuple[str, SummaryRecord]]:
    """The summary of each score: over folds, and over all out-of-fold predictions together."""
    names = dict.fromkeys(name for run in runs for name in run.scores or {})
    for name in names:
        values = [(run.scores or {}).get(name) for run in runs]
        defined = [value for value in values if value is not None]
        together = [scores.values.get(name) for scores in pooled]
        known = [value for value in together if value is not None]
        yield (
            name,
            SummaryRecord(
                mean=statistics.fmean(defined) if defined else None,
                deviation=statistics.stdev(defined) if len(defined) > 1 else None,
                low=min(defined, default=None),
                high=max(defined, default=None),
                folds=values,
                pooled=statistics.fmean(known) if known else None,
                pooled_by_repeat=together,
            ),
        )


def _gates(limits: Mapping[str, float], runs: Sequence[Run]) -> list[GateRecord] | None:
    """The quality gates, on the mean over the folds for which a score is defined."""
    if not limits:
        return None
    found: dict[str, list[float]] = {name: [] for name in limits}
    for run in runs:
        for gate in run.record.gates or []:
            if gate.score in found and gate.value is not None:
                found[gate.score].append(gate.value)
    means = {name: statistics.fmean(values) if values else None for name, values in found.items()}
    where = f"average over {counted(len(runs), 'fold')}"
    return gates.measured(limits, {where: means}, where)


def _warnings(runs: Sequence[Run]) -> list[str]:
    """The warnings of the runs, each once, with the number of folds that have it.

    Those about decision rules are left out: each fold has its own, and one sentence is about all of them.
    """
    found: dict[str, int] = {}
    for run in runs:
        rule = (run.record.decision or RuleRecord()).sentence
        for text in run.manifest.get("warnings") or []:
            if text != rule:
                found[text] = found.get(text, 0) + 1
    return [f"{text} ({number} of {len(runs)} folds)" for text, number in found.items()]
