"""Renders a search as one HTML page."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bertune.errors import counted
from bertune.manifest import ManifestRecord
from bertune.manifest.details import DetailsRecord
from bertune.reporting.guidance import Command
from bertune.reporting.headline import Headline
from bertune.reporting.page import Rendered, contents, rendered
from bertune.reporting.plots import Plot, plots
from bertune.reporting.sections import detail_tables
from bertune.reporting.table import Cell, PageTable, head
from bertune.reporting.wording import (
    MISSING,
    count,
    decimal,
    duration,
    real,
    score_name,
    score_title,
    value_text,
    visible,
)
from bertune.reporting.write import write_page
from bertune.run import Run
from bertune.tuning import BEST, TrialRecord, Tuning, TuningRecord, WinnerRecord

_SPLIT = "search"  # how the names of the figures call the rows that trials are compared on
_HEADINGS = {
    "trial": "Trials, best first",
    "proxy": "Trials with the proxy encoder, best first",
    "target": "Finalists with the target encoder, best first",
}


@dataclass(frozen=True)
class SearchSection:
    """The trials as the page shows them."""

    space: PageTable | None
    stages: list[tuple[str, PageTable]]
    tables: list[tuple[str, PageTable, str]]
    plots: list[Plot]


def write_tuning_report(result: Tuning) -> Path:
    """Render the report of a search and return the path of the page.

    Raises InputError if the folder is damaged or cannot be written.
    """
    return write_page(result.path, render(result))


def render(result: Tuning) -> Rendered:
    """The page of a search; sections without recorded data are omitted."""
    record = result.record
    keys = ("name", "status", "created", "source", "task", "notes", "warnings")
    manifest = ManifestRecord(
        format=1, versions=record.versions, **{key: getattr(record, key) for key in keys}
    )
    details = _with_score_names(record.details or DetailsRecord(), record.metric or "")
    drawn = plots(details, _SPLIT)
    page = contents(Run(result.path), manifest)
    page |= {
        "kind": "bertune search",
        "conclusion": _conclusion(record),
        "subtitle": visible(_subtitle(record)),
        "headline": _headline(record),
        "usage": _usage(result),
        "scores": score_table(record),
        "reproduce": _reproduction(result, page["reproduce"]),
        "search": SearchSection(space_table(record), stage_tables(record), detail_tables(details), drawn),
    }
    return rendered(page, [plot.drawing for plot in drawn])


def _with_score_names(details: DetailsRecord, metric: str) -> DetailsRecord:
    """The details with the display name of the score on the axes."""
    figures = [
        one.model_copy(update={"axes": [score_name(a) if a == metric else a for a in one.axes or []]})
        for one in details.figures or []
    ]
    return details.model_copy(update={"figures": figures}) if figures else details


def _usage(result: Tuning) -> list[Command]:
    folder = shlex.quote(str(result.path))
    if result.record.status != "complete":
        return [Command("Continue", f"bertune tune {folder} --resume")]
    code = f"import bertune as bt\nmodel = bt.load({str(result.path / BEST)!r})"
    return [
        Command("Predict with the best settings", f"bertune predict {folder}/{BEST} new.csv"),
        Command("Read the report of their run", f"bertune report {folder}/{BEST}"),
        Command("Try more settings", f"bertune tune {folder} tune.trials=50 --resume"),
        Command("Use from Python", code),
    ]


def _reproduction(result: Tuning, of_run: list[Command]) -> list[Command]:
    """The commands of a run, with the one that trains the best settings again."""
    folder = shlex.quote(str(result.path / BEST))
    again = Command("Train a model with the best settings again", f"bertune train {folder} --out NEW")
    return [*of_run[:-1], again] if of_run else []


def _conclusion(record: TuningRecord) -> str:
    """The best settings and their score; empty for an unfinished search."""
    winner, metric = record.winner, record.metric or ""
    if record.status != "complete" or winner is None:
        return ""
    params = ", ".join(f"{key}={value_text(value)}" for key, value in (winner.params or {}).items())
    trials = counted(len(record.trials or []), "trial")
    is_tested = real(winner.test) is not None
    value, ends = (winner.test, _interval(winner.test_interval)) if is_tested else (winner.value, "")
    on = "test rows" if is_tested else "the rows that selected them, which overstates it"
    interval = f" (95% interval {ends})" if ends else ""
    return visible(
        f"The best settings of {trials} are {params or 'the defaults'}; {score_name(metric)} with them is "
        f"{decimal(value)}{interval} on {on}."
    )


def _subtitle(record: TuningRecord) -> str:
    done = counted(len(record.trials or []), "trial")
    proxy = f" (searched with {record.proxy})" if record.proxy else ""
    task = f" for {record.task}" if record.task else ""
    where = f", compared on {record.scored_on}" if record.scored_on else ""
    return f"{done} of {record.model}{proxy}{task} on {record.source}{where}"


def _headline(record: TuningRecord) -> Headline:
    metric, winner = record.metric or "", record.winner
    # Recorded sentences have the minus sign of the terminal.
    minus = re.compile(r"(?<![\w.])-(?=\d)")
    facts = [(title, visible(minus.sub("−", text))) for title, text in (record.sentences or {}).items()]
    if winner is None:
        best = _ranked(record, record.trials or [])[:1]
        value = decimal(best[0].value) if best and best[0].outcome == "complete" else "none yet"
        return Headline(score_title(metric), value, "", "the best trial so far", facts)
    if record.seconds:
        facts.append(("Training time of all trials", duration(record.seconds)))
    if real(winner.test) is not None:
        ends = _interval(winner.test_interval)
        on = "of the best settings on the test rows, which the search never used"
        return Headline(score_title(metric), decimal(winner.test), ends, on, facts)
    on = "of the best settings on the rows that selected them: expect a lower score on new data"
    return Headline(score_title(metric), decimal(winner.value), "", on, facts)


def _interval(ends: list[float] | None) -> str:
    return f"{decimal(ends[0])} to {decimal(ends[1])}" if ends else ""


def score_table(record: TuningRecord) -> PageTable | None:
    """The score that selected the best settings, and the scores of their run."""
    winner = record.winner or WinnerRecord()
    given: list[tuple[str, float | None, list[float] | None]] = [
        ("selected the settings", winner.value, None),
        ("validation, run of the best settings", winner.validation, winner.validation_interval),
        ("test, run of the best settings", winner.test, winner.test_interval),
    ]
    rows = [
        [head(name), Cell(decimal(value), note=_interval(ends))]
        for name, value, ends in given
        if real(value) is not None
    ]
    return PageTable("scores", ["", score_name(record.metric or "score")], rows) if rows else None


def space_table(record: TuningRecord) -> PageTable | None:
    """The searched values of each setting, the default and the best value, and the importance."""
    space = sorted(record.space or [], key=lambda one: -(real(one.importance) or 0.0))
    rows = [
        [
            head(visible(one.setting)),
            Cell(visible(one.searched or MISSING), is_users=True),
            Cell(value_text(one.default)),
            Cell(value_text(one.best)),
            Cell(decimal(one.importance, 2), share=real(one.importance)),
        ]
        for one in space
    ]
    note = (
        "Importance: the share of the variation between the trials that a setting explains (PED-ANOVA, "
        "Watanabe et al. 2023). With few trials, it is a rough estimate."
    )
    headings = ["setting", "searched", "default", "best", "importance"]
    return PageTable("space", headings, rows, num_text=2, note=note) if rows else None


def stage_tables(record: TuningRecord) -> list[tuple[str, PageTable]]:
    """The trials of every stage, best first; the final stage comes first."""
    tables = []
    for stage in ("target", "proxy", "trial"):
        trials = [trial for trial in record.trials or [] if trial.stage == stage]
        if trials:
            tables.append((_HEADINGS[stage], _trial_table(record, trials, stage != "proxy")))
    return tables


def _trial_table(record: TuningRecord, trials: Sequence[TrialRecord], is_final: bool) -> PageTable:
    keys = [one.setting for one in record.space or []]
    num_folds = max((len(trial.folds or []) for trial in trials), default=0)
    ranked, winner = _ranked(record, trials), record.winner or WinnerRecord()
    scores = [value for trial in trials if (value := real(trial.value)) is not None]
    low, high = min(scores, default=0.0), max(scores, default=0.0)
    rows = []
    for trial in ranked:
        value = real(trial.value)
        # The bar shows where the score is between the worst and the best one.
        share = None if value is None or low == high else (value - low) / (high - low)
        folds = [decimal(one) for one in trial.folds or []]
        rows.append(
            [
                head(str(trial.number), note="defaults" if trial.is_default else ""),
                Cell(visible(trial.outcome or MISSING)),
                Cell(decimal(value), share=share),
                *[Cell(value_text((trial.params or {}).get(key))) for key in keys],
                *[Cell(text) for text in [*folds, *[MISSING] * (num_folds - len(folds))]],
                Cell(_steps(trial)),
                Cell(duration(trial.seconds)),
            ]
        )
    marked = next((i for i, trial in enumerate(ranked) if is_final and trial.number == winner.trial), None)
    folds = [f"fold {number}" for number in range(1, num_folds + 1)]
    headings = ["trial", "outcome", score_name(record.metric or "score"), *keys, *folds, "best step", "time"]
    return PageTable("trials", headings, rows, num_text=2, marked=marked)


def _steps(trial: TrialRecord) -> str:
    return f"{count(trial.best_step)} of {count(trial.total_steps)}" if trial.total_steps else MISSING


def _ranked(record: TuningRecord, trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    sign = 1 if record.lower_is_better else -1
    return sorted(trials, key=lambda t: (real(t.value) is None, sign * (real(t.value) or 0.0), t.number))
