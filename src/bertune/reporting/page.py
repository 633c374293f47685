"""Renders everything a run recorded as one HTML page."""

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bertune.errors import plural
from bertune.manifest import ManifestRecord
from bertune.manifest.details import DetailsRecord
from bertune.manifest.results import RuleRecord
from bertune.reporting import charts, confusion, curves, figures, guidance, plots, sections
from bertune.reporting.canvas import Drawing
from bertune.reporting.exports import read_exports
from bertune.reporting.headline import created, headline, subtitle
from bertune.reporting.label_errors import num_label_errors, read_label_errors
from bertune.reporting.mistakes import read_mistakes
from bertune.reporting.recorded import (
    data_of,
    final_details,
    final_split,
    interval_sentence,
    is_row_a_sequence,
    max_length_of,
    model_of,
    row_noun,
    splits_of,
)
from bertune.reporting.slices import slice_sentence, slice_table
from bertune.reporting.table import PageTable
from bertune.reporting.verdict import simple_verdict, verdict
from bertune.reporting.wording import count, visible
from bertune.run import CONFIG, Run

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Rendered:
    """The HTML of the page and its figures."""

    html: str
    drawings: list[Drawing]


def render(run: Run) -> Rendered:
    """Renders the page of a run; sections without recorded data are omitted."""
    return rendered(contents(run, run.record))


def contents(run: Run, manifest: ManifestRecord) -> dict[str, Any]:
    """The content of the page by section; None or empty without recorded data."""
    course = curves.read_curves(run.metrics(), manifest)
    split, details = final_details(manifest)
    results = results_of(details, split, row_noun(manifest))
    final = final_split(manifest)
    num_wrong = num_label_errors(run.path, final) if final else 0
    slices = (manifest.slices or {}).get(final or "")
    return {
        "kind": "bertune report",
        "name": visible(manifest.name or run.path.name),
        "status": visible(manifest.status or ""),
        "created": created(manifest),
        "subtitle": subtitle(manifest),
        "headline": headline(manifest, course),
        "usage": guidance.usage(run, manifest),
        "callouts": guidance.callouts(manifest, course, results["matrix"], results["counted"]),
        "learning": figures.learning_curves(course) if course else None,
        "overfitting": course.overfitting if course else None,
        "evaluations": curves.evaluation_table(course) if course else None,
        "scores": sections.score_table(manifest),
        "folds": None,
        "search": None,
        "baselines": sections.baseline_table(manifest),
        "verdict": simple_verdict(manifest),
        "seeds": sections.seed_table(manifest),
        "gates": sections.gate_table(manifest),
        "interval_sentence": interval_sentence(manifest),
        "mistakes": read_mistakes(run),
        "conclusion": verdict(manifest, num_wrong),
        "slices": slice_table(slices),
        "slice_sentence": slice_sentence(slices),
        "label_errors": read_label_errors(run.path, ("validation", "test")),
        "reproduce": guidance.reproduction(run, manifest),
        "decision": _decision(manifest),
        "exports": read_exports(run),
        "settings": _settings(run),
        "environment": sections.environment_table(manifest),
        **results,
        **_data(manifest),
        **_model(manifest),
    }


def rendered(page: dict[str, Any], further: Sequence[Drawing] = ()) -> Rendered:
    """The page and its figures, with those of `further` sections."""
    named = ("learning", "by_batch", "matrix_drawing", "lengths_drawing")
    drawings = [page[key] for key in named if page[key]] + [
        plot.drawing
        for plots in (page["plots"], page["calibration"]["plots"], page["decisions"]["plots"])
        for plot in plots
    ]
    drawings += further
    return Rendered(with_script("index.html", page), drawings)


def with_script(template: str, page: dict[str, Any]) -> str:
    """A page with the script of the error browser, which its policy allows by the hash."""
    script = (TEMPLATES / "browser.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return _environment().get_template(template).render(page=page, script=script, script_sha256=digest)


def results_of(details: DetailsRecord, split: str, noun: str) -> dict[str, Any]:
    """The sections on the scores of a split, from their details; `noun` names one row."""
    matrix = confusion.read_matrix(details)
    counted = visible(details.counted or noun)
    batches = charts.read_batches(details, noun)
    drawing = charts.confusion_matrix(matrix.labels, matrix.counts, split, counted) if matrix else None
    return {
        "split": split,
        "rows": plural(noun),
        "counted": counted,
        "classes": sections.class_table(details),
        "matrix": matrix,
        "confusions": confusion.confusions(matrix, counted)
        if matrix
        else confusion.listed_confusions(details, counted),
        "matrix_drawing": drawing,
        "by_batch": charts.score_by_batch(batches, split) if batches else None,
        "batch_sentence": sections.batch_sentence(batches, split) if batches else "",
        **_by_section(sections.detail_tables(details), plots.plots(details, split)),
    }


# Where tables and figures of the details are shown, by their titles; the others are shown with the scores.
_SECTIONS = {
    "Calibration": "calibration",
    "Decisions": "decisions",
    "Error rate by share answered": "decisions",
}


def _by_section(tables: list[tuple[str, PageTable, str]], drawn: list[plots.Plot]) -> dict[str, Any]:
    found: dict[str, Any] = {name: {"tables": [], "plots": []} for name in ("", *_SECTIONS.values())}
    for table in tables:
        found[_SECTIONS.get(table[0], "")]["tables"].append(table)
    for plot in drawn:
        found[_SECTIONS.get(plot.title, "")]["plots"].append(plot)
    rest = found.pop("")
    return {**found, "tables": rest["tables"], "plots": rest["plots"]}


def _decision(manifest: ManifestRecord) -> str:
    """The decision rule in a sentence, and what the section shows of it if the saved model is a refit."""
    sentence = (manifest.decision or RuleRecord()).sentence or ""
    of_first = "The following was measured with the first model, which had another rule."
    return f"{sentence} {of_first}" if sentence and manifest.refit is not None else sentence


def _data(manifest: ManifestRecord) -> dict[str, Any]:
    unit = row_noun(manifest) if is_row_a_sequence(manifest) else "sequence"
    limit = max_length_of(manifest)
    length = f"max_length is {count(limit.value)}" if limit.value else ""
    why = f": {limit.why}" if limit.why else ""
    is_less = limit.model_limit is not None and limit.model_limit != limit.value
    most = f" (the model's limit is {count(limit.model_limit)})" if is_less else ""
    return {
        "notes": [visible(note) for note in manifest.notes or []],
        "splits": sections.split_table(manifest),
        "shared": sections.shared_table(manifest),
        "findings": sections.findings_table(manifest),
        "has_more_rows": any(len(finding.rows or []) > 1 for finding in data_of(manifest).findings or []),
        "balance": sections.balance_table(manifest),
        "lengths": sections.length_table(manifest),
        "lengths_drawing": charts.token_lengths(splits_of(manifest), limit.value, unit),
        "length_unit": unit,
        "length_sentence": visible(f"{length}{why}{most}.") if length else "",
    }


def _model(manifest: ManifestRecord) -> dict[str, Any]:
    return {
        "parameters": sections.parameter_table(manifest),
        "outputs": sections.label_list(manifest),
        "num_outputs": len(manifest.labels or []),
        "model_class": visible(model_of(manifest).class_name or ""),
    }


def _settings(run: Run) -> str:
    path = run.path / CONFIG
    return visible(path.read_text(encoding="utf-8")) if path.is_file() else ""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["plural"] = plural
    environment.filters["count"] = count
    environment.filters["visible"] = visible
    return environment
