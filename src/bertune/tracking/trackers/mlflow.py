"""MLflow: a tracking server, a database or a folder, by MLFLOW_TRACKING_URI."""

import contextlib
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from bertune.optional_packages import needs
from bertune.tracking.tracker import Fact, Results, Row, Status, TrackedRun, Tracker

_ID = "bertune.id"  # tag by which a resumed run finds its MLflow run
_MOST_METRICS, _MOST_PARAMS = 1000, 100  # in a request, limits of the REST API
_MOST_CHARACTERS = 5000  # per parameter or tag; MLflow's limits are 6,000 and 8,000
_STATUS = {"complete": "FINISHED", "interrupted": "KILLED", "failed": "FAILED"}


class MLflow(Tracker):
    """Metrics by step, settings as parameters, facts as tags, and artifacts.

    Seeds and folds are nested runs, as in `mlflow.start_run(nested=True)`. The active run of the caller is
    not touched.
    """

    advice = (
        "Set MLFLOW_TRACKING_URI to a server that responds, or to sqlite:///mlflow.db with the full package "
        "mlflow installed"
    )

    def __init__(self) -> None:
        with needs("mlflow", "for track.to=mlflow"):
            import mlflow

        self._library: Any = mlflow
        self._client: Any = None
        self._id = ""
        self._last = 0  # step up to which the run was logged before it was resumed

    def start(self, run: TrackedRun) -> str:
        self._client = self._library.MlflowClient()
        experiment = self._experiment(run.project)
        tags: dict[str, Fact] = dict(run.facts)
        if run.group is not None and not run.is_summary:
            tags["mlflow.parentRunId"] = self._existing(experiment, run.group.id) or self._created(
                experiment, run.group.id, run.group.name, {}, {}
            )
        known = self._existing(experiment, run.id)
        self._last = self._last_step(known) if known else 0
        self._id = known or self._created(experiment, run.id, run.name, {}, {})
        if known:
            self._client.update_run(known, status="RUNNING")
        if not known or run.is_summary:
            self._log_params(run.settings)
        self._log_tags(tags)
        address = self._library.get_tracking_uri()
        return f"run {self._id} of experiment {run.project} in {_without_password(address)}"

    def _experiment(self, name: str) -> str:
        found = self._client.get_experiment_by_name(name)
        if found is not None:
            return str(found.experiment_id)
        try:
            return str(self._client.create_experiment(name))
        except self._library.MlflowException:
            found = self._client.get_experiment_by_name(name)  # created by another process meanwhile
            if found is None:
                raise
            return str(found.experiment_id)

    def _existing(self, experiment: str, identity: str) -> str | None:
        found = self._client.search_runs([experiment], f"tags.`{_ID}` = '{identity}'", max_results=1)
        return found[0].info.run_id if found else None

    def _created(
        self, experiment: str, identity: str, name: str, params: Mapping[str, Fact], tags: Mapping[str, Fact]
    ) -> str:
        run = self._client.create_run(experiment, run_name=name, tags={_ID: identity})
        return str(run.info.run_id)

    def _last_step(self, run_id: str) -> int:
        history = self._client.get_metric_history(run_id, "train/loss")
        return max((metric.step for metric in history), default=0)

    def log(self, rows: Sequence[Row]) -> None:
        now = int(time.time() * 1000)
        metrics = [
            self._metric(name, value, now, row.step)
            for row in rows
            if row.step > self._last
            for name, value in row.values.items()
        ]
        for batch in _batches(metrics, _MOST_METRICS):
            self._client.log_batch(self._id, metrics=batch)

    def finish(self, results: Results, status: Status) -> None:
        now = int(time.time() * 1000)
        final = [self._metric(f"final/{n}", v, now, results.step) for n, v in results.scores.items()]
        for batch in _batches(final, _MOST_METRICS):
            self._client.log_batch(self._id, metrics=batch)
        self._log_tags(results.facts)
        for kind, folder in (("report", results.report), ("model", results.model)):
            if folder is not None:
                self._client.log_artifacts(self._id, str(folder), kind)
        # It prints the address of the run to standard output, which may be the JSON of the command.
        with contextlib.redirect_stdout(sys.stderr):
            self._client.set_terminated(self._id, _STATUS[status])

    def _metric(self, name: str, value: float, now: int, step: int) -> Any:
        return self._library.entities.Metric(_allowed(name), value, now, step)

    def _log_params(self, values: Mapping[str, Fact]) -> None:
        params = [self._library.entities.Param(_allowed(n), _cut(v)) for n, v in values.items()]
        for batch in _batches(params, _MOST_PARAMS):
            self._client.log_batch(self._id, params=batch)

    def _log_tags(self, values: Mapping[str, Fact]) -> None:
        tags = [self._library.entities.RunTag(_allowed(n), _cut(v)) for n, v in values.items()]
        for batch in _batches(tags, _MOST_PARAMS):
            self._client.log_batch(self._id, tags=batch)


def _allowed(name: str) -> str:
    """A name with only the characters that names in MLflow may have."""
    return re.sub(r"[^\w\-. /]", "_", name)


def _cut(value: Fact) -> str:
    return str(value)[:_MOST_CHARACTERS]


def _batches(values: Sequence[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(values)
    while batch := list(islice(rest, size)):
        yield batch


def _without_password(address: str) -> str:
    return re.sub(r"//[^/@]*@", "//", address)


TRACKER = MLflow
