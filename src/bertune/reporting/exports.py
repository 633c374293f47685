"""The exports of a run: how far each differs from the trained model."""

from dataclasses import dataclass

from bertune.errors import counted
from bertune.files import read_object
from bertune.manifest.parity import ParityRecord, SidesRecord, SpeedRecord
from bertune.record import checked
from bertune.reporting.table import Cell, PageTable, head
from bertune.reporting.wording import MISSING, count, decimal, percent, real, scientific, score_name, visible
from bertune.run import Run

_MOST_PARTS = 20  # listed parts of the network that stay in fp32


@dataclass(frozen=True)
class Exports:
    """The section of the page."""

    summary: PageTable
    scores: PageTable | None
    kept: list[tuple[str, str, list[str]]]  # format, sentence, and the parts of the network in fp32


def read_exports(run: Run) -> Exports | None:
    """The exports below the run folder; None if there are none. Raises DamagedError."""
    paths = sorted(run.path.glob("export/*/parity.json"))
    records = [checked(ParityRecord, read_object(path), path) for path in paths]
    if not records:
        return None
    return Exports(
        _summary(records),
        _scores(records),
        [_kept(record) for record in records if record.parts is not None],
    )


def _summary(records: list[ParityRecord]) -> PageTable:
    """One row per export; the notes in the cells show the values of the trained model."""
    rows = []
    for record in records:
        speed, size = record.speed or {}, record.size_mb or SidesRecord()
        model, export = (speed.get(side) or SpeedRecord() for side in ("model", "export"))
        primary = (record.scores or {}).get(record.primary or "") or SidesRecord()
        rows.append(
            [
                head(visible(record.format)),
                Cell(decimal(primary.export), _model(decimal(primary.model))),
                Cell(scientific(record.largest_difference)),
                Cell(count(record.flips), percent(record.flips, record.rows)),
                Cell(decimal(export.milliseconds_per_row, 1), _model(decimal(model.milliseconds_per_row, 1))),
                Cell(count(export.rows_per_second), _model(count(model.rows_per_second))),
                Cell(decimal(size.export, 1), _model(decimal(size.model, 1))),
            ]
        )
    name = score_name(records[0].primary) if records[0].primary else "score"
    headings = ("format", name, "largest difference", "flips", "ms per row", "rows/s", "MB")
    return PageTable("exports", headings, rows)


def _model(text: str) -> str:
    return "" if text == MISSING else f"model {text}"


def _scores(records: list[ParityRecord]) -> PageTable | None:
    """Every score that is defined, of the trained model and of each export."""
    names = dict.fromkeys(name for record in records for name in record.scores or {})
    rows = []
    for name in sorted(names, key=lambda name: name != records[0].primary):
        sides = [(record.scores or {}).get(name) or SidesRecord() for record in records]
        values = [next((side.model for side in sides if side.model is not None), None)]
        values += [side.export for side in sides]
        if any(real(value) is not None for value in values):
            rows.append([head(score_name(name)), *(Cell(decimal(value, 4)) for value in values)])
    headings = ("score", "trained model", *(visible(record.format) for record in records))
    return PageTable("export-scores", headings, rows) if rows else None


def _kept(record: ParityRecord) -> tuple[str, str, list[str]]:
    parts, total = record.parts_in_fp32 or [], record.parts or 0
    name = visible(record.format)
    if not parts:
        return name, f"All {counted(total, 'part')} of the network are quantized.", []
    more = [f"… {len(parts) - _MOST_PARTS:,} more in parity.json"] if len(parts) > _MOST_PARTS else []
    sentence = "These modules stay in fp32, because quantizing them changes the predictions most:"
    return name, sentence, [*map(visible, parts[:_MOST_PARTS]), *more]
