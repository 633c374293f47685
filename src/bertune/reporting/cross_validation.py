"""Renders a cross-validation as one HTML page."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from bertune.cross_validation import FOLDS, OUT_OF_FOLD, CrossValidation, CrossValidationRecord
from bertune.errors import counted
from bertune.files import read_object
from bertune.manifest import ManifestRecord
from bertune.manifest.details import DetailsRecord
from bertune.manifest.mistakes import MistakesRecord
from bertune.record import checked
from bertune.reporting.guidance import Command
from bertune.reporting.headline import Headline
from bertune.reporting.label_errors import LabelErrors, read_label_errors
from bertune.reporting.mistakes import Mistakes, worded
from bertune.reporting.page import Rendered, contents, rendered, results_of
from bertune.reporting.slices import slice_sentence, slice_table
from bertune.reporting.table import Cell, PageTable, head
from bertune.reporting.verdict import doubts, opening
from bertune.reporting.wording import (
    MISSING,
    count,
    decimal,
    duration,
    real,
    score_name,
    score_title,
    visible,
)
from bertune.reporting.write import write_page
from bertune.run import PREDICTIONS, Run

_SPLIT = "out-of-fold"  # how the page calls the rows that the pooled scores are computed on


def write_cross_validation_report(result: CrossValidation) -> Path:
    """Render the report of a finished cross-validation and return the path of the page.

    Raises InputError if the folder is damaged or cannot be written.
    """
    return write_page(result.path, render(result))


def render(result: CrossValidation) -> Rendered:
    """The page of a cross-validation; sections without recorded data are omitted."""
    record = result.record
    keys = (
        "name",
        "status",
        "created",
        "source",
        "task",
        "row_noun",
        "primary",
        "labels",
        "notes",
        "warnings",
        "gates",
    )
    manifest = ManifestRecord(
        format=1, versions=record.versions, **{key: getattr(record, key) for key in keys}
    )
    details = record.details or DetailsRecord()
    page = contents(Run(result.path), manifest)
    page |= {
        "kind": "bertune cross-validation",
        "conclusion": _conclusion(record, read_label_errors(result.path, (OUT_OF_FOLD,))),
        "decision": visible(record.decision) if record.decision else "",
        "subtitle": visible(_subtitle(record)),
        "headline": _headline(record),
        "usage": _usage(result),
        "scores": score_table(record),
        "folds": fold_table(record),
        "mistakes": _mistakes(result),
        "slices": slice_table(record.slices),
        "slice_sentence": slice_sentence(record.slices),
        "label_errors": read_label_errors(result.path, (OUT_OF_FOLD,)),
        **results_of(details, _SPLIT, record.row_noun or "text"),
    }
    return rendered(page)


def _usage(result: CrossValidation) -> list[Command]:
    folder = shlex.quote(str(result.path))
    if result.record.status != "complete":
        return [Command("Continue", f"bertune cross-validate {folder} --resume")]
    file = str(result.path / PREDICTIONS / f"{OUT_OF_FOLD}.jsonl")
    code = f"import json\nlines = map(json.loads, open({file!r}))"
    return [
        Command("Report of a fold", f"bertune report {folder}/{FOLDS}/{result.record.runs[0].name}"),
        Command("Read the out-of-fold predictions in Python", code),
    ]


def _subtitle(record: CrossValidationRecord) -> str:
    rows = counted(record.num_rows or 0, record.row_noun or "text")
    groups = f" in {counted(record.num_groups, 'group')}" if record.num_groups else ""
    task = f" for {record.task}" if record.task else ""
    return f"{record.model}, cross-validated{task} on {rows}{groups} from {record.source}"


def _headline(record: CrossValidationRecord) -> Headline:
    primary = record.primary or ""
    one = (record.scores or {}).get(primary)
    repeated = f" ({record.num_repeats} times {record.num_folds})" if record.num_repeats > 1 else ""
    facts = [("Folds", f"{len(record.runs)}{repeated}, {record.how}")]
    if one is None or real(one.mean) is None:
        return Headline(score_title(primary), "undefined", "", "no fold has this score", facts)
    facts += [
        (
            "Spread",
            f"standard deviation {decimal(one.deviation)}, from {decimal(one.low)} to {decimal(one.high)}",
        ),
        ("All out-of-fold predictions together", f"{score_name(primary)} {decimal(one.pooled)}"),
        (
            "Meaning",
            "the expected score of a model trained on as many rows as shown below. Each row was "
            "predicted by a model that was neither trained nor selected on it",
        ),
    ]
    on = f"mean over {counted(len(record.runs), 'fold')}"
    return Headline(score_title(primary), decimal(one.mean), "", on, facts)


def score_table(record: CrossValidationRecord) -> PageTable | None:
    """Mean, spread and range over the folds, and the pooled score, of every score."""
    scores = record.scores or {}
    defined = [n for n, one in scores.items() if real(one.mean) is not None or real(one.pooled) is not None]
    names = sorted(defined, key=lambda name: name != record.primary)
    rows = [
        [
            head(score_name(name)),
            *[
                Cell(decimal(value))
                for one in (scores[name],)
                for value in (one.mean, one.deviation, one.low, one.high, one.pooled)
            ],
        ]
        for name in names
    ]
    headings = ["score", "mean", "standard deviation", "lowest fold", "highest fold", "pooled"]
    marked = 0 if names and names[0] == record.primary else None
    return PageTable("scores", headings, rows, marked=marked) if rows else None


def fold_table(record: CrossValidationRecord) -> PageTable | None:
    """Rows, best step, score and time of every fold."""
    primary = record.primary or ""
    rows = [
        [
            head(run.name, note=f"{FOLDS}/{run.name}"),
            *[Cell(count((run.rows or {}).get(split))) for split in ("train", "validation", "test")],
            Cell(f"{count(run.best_step)} of {count(run.total_steps)}"),
            Cell(decimal((run.scores or {}).get(primary))),
            Cell(duration(run.seconds) if run.seconds else MISSING),
        ]
        for run in record.runs
    ]
    headings = [
        "fold",
        "trained on",
        "checkpoint selected on",
        "held out",
        "best step",
        score_name(primary),
        "time",
    ]
    return PageTable("folds", headings, rows) if rows else None


def _mistakes(result: CrossValidation) -> Mistakes | None:
    file = result.path / PREDICTIONS / f"{OUT_OF_FOLD}.mistakes.json"
    if not file.is_file():
        return None
    recorded = read_object(file)
    checked(MistakesRecord, recorded, file)
    return worded(_SPLIT, recorded)


def _conclusion(record: CrossValidationRecord, label_errors: Sequence[LabelErrors]) -> str:
    """The mean score with its spread, and what casts doubt on it; empty if folds are missing."""
    primary = record.primary or ""
    one = (record.scores or {}).get(primary)
    if record.status != "complete" or one is None or real(one.mean) is None:
        return ""
    spread = f" (standard deviation {decimal(one.deviation)})" if real(one.deviation) is not None else ""
    folds = counted(len(record.runs), "fold")
    manifest = ManifestRecord(format=1, gates=record.gates, row_noun=record.row_noun)
    found = doubts(manifest, record.slices, "out-of-fold", sum(part.number for part in label_errors))
    return visible(
        f"{opening(score_name(primary))} is {decimal(one.mean)} on average over {folds}{spread}{found}."
    )
