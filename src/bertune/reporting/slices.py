"""The table of the scores of slices."""

from collections.abc import Sequence

from bertune.errors import counted, plural
from bertune.manifest.details import Score
from bertune.manifest.results import DifferenceRecord
from bertune.manifest.slices import SliceRecord, SlicesRecord
from bertune.reporting.recorded import with_interval
from bertune.reporting.table import Cell, PageTable, head
from bertune.reporting.wording import MISSING, count, decimal, interval, real, score_name, visible


def slice_table(record: SlicesRecord | None) -> PageTable | None:
    """Every slice with its score, that of the rest, their difference and the corrected p value."""
    if record is None or not record.slices:
        return None
    name = score_name(record.score or "score")
    headings = ["slice", "", plural(record.noun or "row"), name, "rest", "difference", "p (Holm)", ""]
    return PageTable("slices", headings, [_row(one) for one in record.slices], num_text=2)


def _row(one: SliceRecord) -> list[Cell]:
    value: Score = with_interval(one.value, one.interval)
    found = one.difference or DifferenceRecord()
    change = decimal(found.value) if real(found.value) is not None else MISSING
    ends = f"{decimal(found.low)} to {decimal(found.high)}" if real(found.low) is not None else ""
    tone = {"worse": "bad", "better": "good"}.get(one.verdict or "", "")
    return [
        head(visible(one.kind or "")),
        Cell(visible(one.name or ""), is_users=True),
        Cell(count(one.rows)),
        Cell(decimal(value), note=interval(value)),
        Cell(decimal(one.rest)),
        Cell(change, note=ends),
        Cell(_p(one.p_holm)),
        Cell(one.verdict or "", tone=tone),
    ]


def _p(value: float | None) -> str:
    if value is None:
        return MISSING
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def slice_sentence(record: SlicesRecord | None) -> str:
    """How many slices are worse than the rest, and how the table was made."""
    if record is None or not record.slices:
        return ""
    worse = [one for one in record.slices if one.verdict == "worse"]
    result = "No slice is significantly worse than the rest."
    if worse:
        names = ", ".join(f"{one.kind}: {one.name}" for one in worse[:3])
        more = f" and {len(worse) - 3} more" if len(worse) > 3 else ""
        verb = "is" if len(worse) == 1 else "are"
        result = f"{counted(len(worse), 'slice')} {verb} worse than the rest: {names}{more}."
    return visible(result)


def common_slices(names: Sequence[str], records: Sequence[SlicesRecord | None]) -> PageTable | None:
    """The slices that all runs have, with the score of each run."""
    found = [{(one.kind, one.name): one for one in (record and record.slices) or []} for record in records]
    keys = [key for key in found[0] if all(key in one for one in found)]
    rows = [
        [
            head(visible(kind or "")),
            Cell(visible(name or ""), is_users=True),
            Cell(count(found[0][kind, name].rows)),
            *(
                Cell(decimal(value), note=interval(value))
                for of_run in found
                for value in (with_interval(of_run[kind, name].value, of_run[kind, name].interval),)
            ),
        ]
        for kind, name in keys
    ]
    score = score_name((records[0] and records[0].score) or "score")
    headings = ["slice", "", "rows", *(f"{score}, {name}" for name in names)]
    return PageTable("slices", headings, rows, num_text=2) if rows else None
