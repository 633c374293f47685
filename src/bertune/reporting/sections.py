"""Tables of scores, data, parameters and environment."""

import re
from collections.abc import Mapping
from typing import Any

from bertune.errors import counted, plural
from bertune.manifest import ManifestRecord
from bertune.manifest.data import FindingRecord, SplitRecord
from bertune.manifest.details import DetailsRecord, Score
from bertune.manifest.results import BaselinesRecord, SeedsRecord, SpreadRecord
from bertune.reporting.charts import Batches
from bertune.reporting.recorded import (
    data_of,
    model_of,
    num_sequences,
    row_noun,
    scored,
    scores_of,
    splits_of,
    with_interval,
)
from bertune.reporting.table import MOST_ROWS, Cell, PageTable, cut_note, head, users
from bertune.reporting.wording import (
    MISSING,
    count,
    decimal,
    duration,
    in_order,
    interval,
    percent,
    real,
    score_name,
    visible,
)

MOST_OUTPUTS = 1000  # labels listed on the page


def score_table(manifest: ManifestRecord) -> PageTable | None:
    """Every score of every split."""
    scores = {split: scores_of(manifest, split) for split in in_order(manifest.scores or {})}
    splits = [split for split in scores if scores[split]]
    if not splits:
        return None
    recorded = dict.fromkeys(key for split in splits for key in scores[split])
    # A task may record scores that do not apply to this data; they have no value on any split.
    defined = [key for key in recorded if any(real(scores[split].get(key)) is not None for split in splits)]
    keys = sorted(defined or recorded, key=lambda key: key != manifest.primary)
    rows = [
        [
            head(score_name(key)),
            *[Cell(decimal(scores[s].get(key)), note=interval(scores[s].get(key))) for s in splits],
        ]
        for key in keys
    ]
    sizes = [scored(manifest, split) for split in splits]
    heads = [f"{s} ({counted(*size)})" if size else s for s, size in zip(splits, sizes, strict=True)]
    marked = 0 if keys and keys[0] == manifest.primary else None
    return PageTable("scores", ["score", *heads], rows, marked=marked)


def gate_table(manifest: ManifestRecord) -> PageTable | None:
    """The quality gates, with their limits and whether the run passed them."""
    rows = [
        [
            head(score_name(gate.score or "")),
            Cell(visible(gate.split or MISSING)),
            Cell("passed" if gate.passed else "failed"),
            Cell(decimal(gate.value)),
            Cell(f"{'≤' if gate.lower_is_better else '≥'} {gate.limit or 0:g}"),
        ]
        for gate in manifest.gates or []
    ]
    return (
        PageTable("gates", ["score", "split", "gate", "value", "limit"], rows, num_text=3) if rows else None
    )


def baseline_table(manifest: ManifestRecord) -> PageTable | None:
    """The scores of the trained model and of simple models, with intervals, training rows and time."""
    recorded = manifest.baselines or BaselinesRecord()
    models = recorded.models or []
    keys = list(dict.fromkeys(key for model in models for key in model.scores or {}))
    if not keys:
        return None

    def row(name: str, scores: Mapping[str, Score], rows: int | None, seconds: float | None) -> list[Cell]:
        cells = [Cell(decimal(scores.get(key)), note=interval(scores.get(key))) for key in keys]
        return [
            head(name),
            *cells,
            Cell(count(rows)),
            Cell(MISSING if seconds is None else duration(seconds)),
        ]

    seconds = (manifest.timings or {}).get("train_seconds")
    rows = [row("this model", scores_of(manifest, recorded.split or ""), recorded.rows, seconds)]
    for model in models:
        ends = model.intervals or {}
        scores = {key: with_interval(value, ends.get(key)) for key, value in (model.scores or {}).items()}
        rows.append(row(model.name or "", scores, model.rows, model.seconds))
    headings = ["", *map(score_name, keys), "training rows", "time"]
    return PageTable("baselines", headings, rows, marked=0)


def seed_table(manifest: ManifestRecord) -> PageTable | None:
    """The primary score of every training seed, and its mean, standard deviation and range."""
    recorded = manifest.seeds or SeedsRecord()
    key = recorded.primary or ""
    splits = list(recorded.spread or {})
    if not recorded.runs or not splits:
        return None
    rows = []
    for run in recorded.runs:
        note = "kept" if run.seed == recorded.best else "collapsed" if run.collapsed else ""
        values = [Cell(decimal(((run.scores or {}).get(split) or {}).get(key))) for split in splits]
        rows.append([head(f"seed {run.seed}", note), *values])
    spread = [(recorded.spread or {})[split].get(key) or SpreadRecord() for split in splits]
    for name in ("mean", "sd", "low", "high"):
        title = {"sd": "standard deviation", "low": "lowest", "high": "highest"}.get(name, name)
        rows.append([head(title), *[Cell(decimal(getattr(one, name))) for one in spread]])
    return PageTable("seeds", ["", *(f"{split} {score_name(key)}" for split in splits)], rows)


def class_table(details: DetailsRecord) -> PageTable | None:
    """Precision, recall, F1 and support per label; more than 12 labels are sorted by ascending F1."""
    classes = details.per_class or []
    if not classes:
        return None
    if len(classes) > 12:
        # Labels that are neither gold nor predicted have no F1 and are sorted last.
        classes = sorted(classes, key=lambda item: (real(item.f1) is None, real(item.f1) or 0.0))
    shown = classes[:MOST_ROWS]
    note = cut_note(len(shown), len(classes), "with the lowest F1")
    rows = [
        [
            users(item.label),
            *[
                Cell(decimal(score), note=interval(score), share=share)
                for score, share in ((item.precision, None), (item.recall, None), (item.f1, real(item.f1)))
            ],
            Cell(count(item.support)),
        ]
        for item in shown
    ]
    return PageTable("classes", ["label", "precision", "recall", "F1", "support"], rows, note=note)


def detail_tables(details: DetailsRecord) -> list[tuple[str, PageTable, str]]:
    """The tables recorded with the scores, each as title, table and note."""
    tables = []
    for recorded in details.tables or []:
        rows = [[users(row[0]), *map(_valued, row[1:])] for row in recorded.rows or [] if row]
        if rows:
            headings = [visible(heading) if heading else "" for heading in recorded.headings or []]
            body = PageTable("detail", headings, rows)
            title, note = (recorded.title or "", recorded.note or "")
            tables.append((visible(title), body, visible(note) if note else ""))
    return tables


def _valued(value: Any) -> Cell:
    """Integers are formatted as counts, floats with three decimals; strings are user text."""
    if isinstance(value, str):
        return Cell(visible(value), is_users=True)
    return Cell(count(value) if isinstance(value, int) else decimal(value))


def label_list(manifest: ManifestRecord) -> list[str]:
    """The labels in the order of the model's outputs, at most `MOST_OUTPUTS`."""
    return [visible(label) for label in (manifest.labels or [])[:MOST_OUTPUTS]]


def batch_sentence(batches: Batches, split: str) -> str:
    """A sentence on how much the score varies between batches."""
    values = batches.defined
    low, high = values[len(values) // 4], values[(3 * len(values)) // 4]
    missing = len(batches.values) - len(values)
    undefined = f" It is undefined on {counted(missing, 'batch')}." if missing else ""
    size, all_rows = counted(batches.batch_size, f"{split} {batches.noun}"), plural(batches.noun)
    which = f"half of the {len(values):,} batches are"
    if batches.num_batches:
        which = f"half of {len(values):,} batches, sampled evenly from all {batches.num_batches:,}, are"
    return (
        f"On batches of {size}, {score_name(batches.score)} ranges from "
        f"{decimal(values[0], 2)} to {decimal(values[-1], 2)}, and {which} "
        f"between {decimal(low, 2)} and {decimal(high, 2)}: scores on this few {all_rows} vary this much. "
        f"On all {all_rows} together it is {decimal(batches.total)}.{undefined}"
    )


def split_table(manifest: ManifestRecord) -> PageTable | None:
    """Source, size and number of exact duplicates of each split."""
    splits = splits_of(manifest)
    if not splits:
        return None
    total = sum(split.rows or 0 for split in splits.values())
    rows = [
        [
            head(visible(name)),
            Cell(visible(split.source or MISSING), note=_fingerprint(split), is_users=True),
            Cell(count(split.rows)),
            Cell(percent(split.rows, total)),
            Cell(count(split.duplicates)),
        ]
        for name, split in splits.items()
    ]
    return PageTable("splits", ["split", "source", "rows", "share", "exact duplicates"], rows, num_text=2)


def _fingerprint(split: SplitRecord) -> str:
    return f"sha256 {split.sha256[:12]}…" if split.sha256 else ""


def shared_table(manifest: ManifestRecord) -> PageTable | None:
    """The number of rows shared by each pair of splits."""
    shared = data_of(manifest).shared_texts or {}
    rows = [
        [head(visible(pair.replace("/", " and "))), Cell(count(number))] for pair, number in shared.items()
    ]
    return PageTable("shared", ["splits", f"{plural(row_noun(manifest))} in both"], rows) if rows else None


def findings_table(manifest: ManifestRecord) -> PageTable | None:
    """The findings of the audit: level, number of rows, what was found and what to do, and the first rows."""
    rows = [
        [
            head(visible(finding.level or "")),
            Cell(visible(finding.message or ""), note=visible(finding.remedy) if finding.remedy else ""),
            Cell(_first_row(finding), is_users=True),
            Cell(count(finding.count), note=f"of {count(finding.total)}"),
        ]
        for finding in data_of(manifest).findings or []
    ]
    return (
        PageTable("findings", ["level", "finding", "first row", "count"], rows, num_text=3) if rows else None
    )


def _first_row(finding: FindingRecord) -> str:
    """File, line and beginning of the first row, and which row it repeats."""
    if not finding.rows:
        return ""
    row = finding.rows[0]
    place = row.get("place", "").rpartition("/")[2]  # the table of splits has the folders
    note = re.sub(r"\S*/(?=[^/]+, \w+ \d)", "", row.get("note", ""))
    return visible(f"{place}: {row.get('text', '')}" + (f" ({note})" if note else ""))


def balance_table(manifest: ManifestRecord) -> PageTable | None:
    """The label counts of each split."""
    splits = {name: split.labels for name, split in splits_of(manifest).items() if split.labels}
    if not splits:
        return None
    # In the order of the model's outputs. Outputs that are not counted, such as the tags B-PER and I-PER if
    # entity types are, are left out.
    found = dict.fromkeys(label for counts in splits.values() for label in counts)
    known = [label for label in map(str, manifest.labels or []) if label in found]
    labels = list(dict.fromkeys([*known, *found]))
    totals = {name: sum(counts.values()) for name, counts in splits.items()}
    largest = {name: max(counts.values()) for name, counts in splits.items()}
    shown = labels
    if len(labels) > MOST_ROWS:
        first = next(iter(splits.values()))
        shown = sorted(labels, key=lambda label: first.get(label, 0), reverse=True)[:MOST_ROWS]
    left_out = max(split.labels_left_out or 0 for split in splits_of(manifest).values())
    note = cut_note(len(shown), len(labels) + left_out, "with the most rows", len(labels))
    rows = [
        [
            users(label),
            *[
                Cell(
                    count(counts.get(label, 0)),
                    note=percent(counts.get(label, 0), totals[name]),
                    share=counts.get(label, 0) / (largest[name] or 1),
                )
                for name, counts in splits.items()
            ],
        ]
        for label in shown
    ]
    return PageTable("balance", ["label", *splits], rows, note=note)


def length_table(manifest: ManifestRecord) -> PageTable | None:
    """Percentiles of the number of tokens per sequence, and the number of truncated sequences."""
    splits = {name: (split, split.tokens) for name, split in splits_of(manifest).items() if split.tokens}
    if not splits:
        return None
    keys = list(dict.fromkeys(key for _, tokens in splits.values() for key in tokens))
    rows = [
        [
            head(visible(name)),
            *[Cell(_tokens(tokens.get(key), key)) for key in keys],
            Cell(count(split.truncated), note=percent(split.truncated, num_sequences(split))),
        ]
        for name, (split, tokens) in splits.items()
    ]
    names = ["median" if key == "p50" else key for key in keys]
    return PageTable("lengths", ["split", *names, "truncated"], rows)


def _tokens(value: object, key: str) -> str:
    return decimal(value, 1) if key == "mean" else count(value)


def parameter_table(manifest: ManifestRecord) -> PageTable | None:
    """The parameters of each block, their share, and whether they were trained."""
    blocks = model_of(manifest).blocks or []
    if not blocks:
        return None
    total = sum(block.parameters or 0 for block in blocks)
    trained = sum(block.parameters or 0 for block in blocks if block.trained)
    rows = [
        [
            head(visible(block.name)),
            Cell("trained" if block.trained else "frozen"),
            Cell(count(block.parameters)),
            Cell(
                percent(block.parameters, total),
                share=(block.parameters or 0) / (total or 1),
            ),
        ]
        for block in blocks
    ]
    rows.append(
        [
            head("total"),
            Cell(f"{percent(trained, total)} trained"),
            Cell(count(total)),
            Cell(percent(1, 1)),
        ]
    )
    return PageTable("parameters", ["block", "", "parameters", "share"], rows, num_text=2, has_total=True)


def environment_table(manifest: ManifestRecord) -> PageTable | None:
    """Device, versions, timings and memory, one row each."""
    rows: list[tuple[str, Any]] = [
        *_named(_described(manifest.machine), ""),
        *_named(manifest.versions, ""),
    ]
    for key, value in (manifest.timings or {}).items():
        name = key.replace("_", " ")
        if name.endswith(" seconds"):
            rows.append((name.removesuffix("seconds") + "time", duration(value)))
        else:
            rows.append((name, decimal(value, 1)))
    if real(manifest.peak_memory_mb) is not None:
        rows.append(("peak memory", f"{count(manifest.peak_memory_mb)} MB"))
    cells = [[head(visible(name)), Cell(visible(value))] for name, value in rows]
    return PageTable("environment", [], cells, num_text=2) if cells else None


def _described(machine: Any) -> dict[str, Any]:
    """The recorded machine, with a name for the number of tokens that says what it limits."""
    names = {"tokens": "tokens per micro-batch"}
    return {names.get(key, key): value for key, value in (machine or {}).items()}


def _named(values: Any, prefix: str) -> list[tuple[str, Any]]:
    return [
        (prefix + key.replace("_", " "), value) for key, value in (values or {}).items() if value is not None
    ]
