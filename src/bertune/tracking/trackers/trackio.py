"""Trackio: local by default; a Space or a server by TRACKIO_SPACE_ID or TRACKIO_SERVER_URL."""

import contextlib
import sys
from collections.abc import Sequence
from typing import Any

from bertune.files import shell_word
from bertune.optional_packages import needs
from bertune.tracking.tracker import Results, Row, Status, TrackedRun, Tracker


class Trackio(Tracker):
    """Metrics by step, the settings as config, and artifacts.

    Trackio identifies a run by its name, so names end with the first digits of the ID. Its messages on
    standard output, which may be the JSON of the command, go to standard error.
    """

    advice = "Check TRACKIO_SPACE_ID or TRACKIO_SERVER_URL, or unset them to log locally"

    def __init__(self) -> None:
        with needs("trackio", "for track.to=trackio"):
            import trackio

        self._library: Any = trackio
        self._run: Any = None
        self._name = ""
        self._last = 0

    def start(self, run: TrackedRun) -> str:
        self._name = f"{run.name}-{run.id[:6]}"
        with contextlib.redirect_stdout(sys.stderr):
            self._run = self._library.init(
                project=run.project,
                name=self._name,
                group=None if run.group is None else f"{run.group.name}-{run.group.id[:6]}",
                config={**run.settings, **{f"fact.{name}": value for name, value in run.facts.items()}},
                resume="allow",
                embed=False,
            )
        return f"trackio show --project {shell_word(run.project)}, run {self._name}"

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._run.log(dict(row.values), step=row.step)

    def finish(self, results: Results, status: Status) -> None:
        final: dict[str, Any] = {f"final/{name}": value for name, value in results.scores.items()}
        self._run.log({**final, "status": status, **results.facts}, step=results.step)
        with contextlib.redirect_stdout(sys.stderr):
            for kind, folder in (("report", results.report), ("model", results.model)):
                if folder is not None:
                    self._run.log_artifact(folder, name=f"{self._name}-{kind}", type=kind)
            self._run.finish()


TRACKER = Trackio
