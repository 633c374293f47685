"""A tracker that writes the training steps to a CSV file in the run folder.

bertune train reviews.csv track.to=csv_tracker.py
"""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

from bertune.tracking.tracker import Results, Row, Status, TrackedRun, Tracker


class CsvTracker(Tracker):
    """One line per value: step, name, value."""

    advice = "Check that the run folder can be written"

    def start(self, run: TrackedRun) -> str:
        self.path: Path = run.path / "values.csv"
        return str(self.path)

    def log(self, rows: Sequence[Row]) -> None:
        self._append((row.step, name, value) for row in rows for name, value in row.values.items())

    def finish(self, results: Results, status: Status) -> None:
        self._append((results.step, f"final/{name}", value) for name, value in results.scores.items())

    def _append(self, lines: Iterable[tuple[int, str, float]]) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(lines)


TRACKER = CsvTracker
