"""Trackers log what a run records, as read back from their own files, and never affect the training."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from stored_runs import tensorboard_scalars, tensorboard_texts, wandb_records

import bertune as bt
from bertune.optional_packages import is_installed
from bertune.run import open_run
from bertune.source import resolve_source
from bertune.tracking import channel
from bertune.tracking.following import follow
from bertune.training.cross_validating import cross_validate
from bertune.training.events import Finished, Noted, Stepped, Warned
from bertune.training.fit import train_source
from bertune.training.seeds import train_seeds
from trainings import assert_same_work

HAS_WANDB = is_installed("wandb")  # which is large, and therefore not in the extra dev

# A tracker of a user, which appends what it is told to a file.
LINES = """
import json
from dataclasses import asdict
from pathlib import Path

from bertune.tracking.tracker import Tracker

LOG = Path(__file__).with_suffix(".jsonl")

class Lines(Tracker):
    advice = "Turn it off and on again"

    def start(self, run):
        self.write("start", name=run.name, id=run.id, resumed_at=run.resumed_at, settings=dict(run.settings),
                   facts=dict(run.facts), group=run.group and asdict(run.group), is_summary=run.is_summary)
        return "here"

    def log(self, rows):
        for row in rows:
            self.write("row", step=row.step, values=dict(row.values))

    def finish(self, results, status):
        self.write("finish", status=status, scores=dict(results.scores), facts=dict(results.facts),
                   step=results.step, artifacts=[str(results.report), str(results.model)])

    def write(self, kind, **values):
        with LOG.open("a") as file:
            file.write(json.dumps({"kind": kind, **values}) + "\\n")

TRACKER = Lines
"""
FAILING = """
from bertune.tracking.tracker import Tracker

class Failing(Tracker):
    advice = "Turn it off and on again"

    def start(self, run):
        return self.maybe("start")

    def log(self, rows):
        self.maybe("log")

    def finish(self, results, status):
        self.maybe("finish")

    def maybe(self, method):
        if method == "METHOD":
            raise RuntimeError("the server\\nis on fire.")
        return "here"

TRACKER = Failing
"""


@pytest.fixture(scope="module", autouse=True)
def offline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file store for MLflow, and W&B offline. Returns the folder of the store."""
    store = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", store.as_uri())
        patch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
        patch.setenv("WANDB_MODE", "offline")
        patch.setenv("TRACKIO_DIR", str(store / "trackio"))
        yield store


pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries, which the tests do not control


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    """The file of a user's tracker."""
    path = tmp_path / "lines.py"
    path.write_text(LINES)
    return path


def logged(tracker: Path, kind: str = "") -> list[dict[str, Any]]:
    """What the tracker of `lines` wrote."""
    found = [json.loads(line) for line in tracker.with_suffix(".jsonl").read_text().splitlines()]
    return [line for line in found if kind in ("", line["kind"])]


def tracked(
    train: Callable[..., Any], source: Path, out: Path, overrides: dict[str, Any], resume: bool = False
) -> list[Any]:
    """The events of a training, whose report is one line, because a real one takes longer."""

    def report(result: Any) -> None:
        assert result.path == out, "the runs of folds have no report"
        (result.path / "report").mkdir(exist_ok=True)
        (result.path / "report" / "index.html").write_text("<p>report</p>")

    resolved = resolve_source(str(source), overrides)
    return list(follow(train(resolved, out, resume), resolved.config, out, report))


def warned(events: list[Any]) -> list[str]:
    """The warnings about trackers."""
    texts = [event.text for event in events if isinstance(event, Warned)]
    return [text for text in texts if "training is not affected" in text]


def mlflow_runs(project: str) -> dict[str, Any]:
    """The runs of an experiment by name."""
    from mlflow import MlflowClient

    client = MlflowClient()
    runs = client.search_runs([client.get_experiment_by_name(project).experiment_id])
    return {run.info.run_name: run for run in runs}


def mlflow_steps(run: Any, metric: str) -> dict[int, float]:
    """The values of a metric by step, each of which was logged once."""
    from mlflow import MlflowClient

    history = MlflowClient().get_metric_history(run.info.run_id, metric)
    assert len({one.step for one in history}) == len(history)
    return {one.step: one.value for one in history}


@pytest.fixture(scope="module")
def run(
    tiny_weights: Path, reviews_csv: Path, tmp_path_factory: pytest.TempPathFactory, offline: Path
) -> bt.Run:
    """A complete run with a report, logged by all trackers with local files. Read only."""
    overrides = {
        "model.name": str(tiny_weights), "machine.precision": "fp32", "train.epochs": 2,
        "train.batch_size": 8, "train.lr": 1e-3, "train.baselines": False, "gate.accuracy": 0.1,
        "data.validation_fraction": 0.4,
        "track.to": "tensorboard,mlflow" + (",wandb" if HAS_WANDB else ""),
        "track.project": "reviews", "track.name": "first",
    }  # fmt: skip
    return tracked(train_source, reviews_csv, tmp_path_factory.mktemp("runs") / "run", overrides)[-1].run


def rows(run: bt.Run) -> int:
    """The number of training rows."""
    return run.manifest["data"]["splits"]["train"]["rows"]


def test_tensorboard_has_steps_evaluations_settings_and_results(run: bt.Run) -> None:
    scalars, texts = tensorboard_scalars(run.path), tensorboard_texts(run.path)
    for name in ("loss", "lr", "grad_norm"):
        expected = {line["step"]: line[name] for line in run.metrics()}
        assert scalars[f"train/{name}"] == pytest.approx(expected, rel=1e-6)
    assert min(scalars["train/examples_per_second"].values()) > 0
    accuracy = {
        line["step"]: line["validation"]["accuracy"] for line in run.metrics() if "validation" in line
    }
    assert scalars["validation/accuracy"] == pytest.approx(accuracy)
    low, high = run.manifest["intervals"]["validation"]["scores"]["accuracy"]
    assert list(scalars["final/validation/accuracy"].values()) == pytest.approx([run.scores["accuracy"]])
    assert list(scalars["final/validation/accuracy_low"].values()) == pytest.approx([low])
    assert list(scalars["final/validation/accuracy_high"].values()) == pytest.approx([high])
    assert "| train.lr | 0.001 |" in texts["settings"]
    assert "| gate.accuracy | passed: accuracy" in texts["results"]


def test_mlflow_has_steps_parameters_scores_and_artifacts(run: bt.Run) -> None:
    from mlflow import MlflowClient

    found = mlflow_runs("reviews")["first"]
    assert mlflow_steps(found, "train/loss") == {line["step"]: line["loss"] for line in run.metrics()}
    assert found.info.status == "FINISHED"
    assert found.data.params["train.lr"] == "0.001"
    assert found.data.tags["gates"] == "passed" and found.data.tags["data.train.rows"] == str(rows(run))
    assert found.data.metrics["final/validation/mcc"] == run.scores["mcc"]
    client, number = MlflowClient(), found.info.run_id
    for folder, own in (("report", run.path / "report"), ("model", run.model_path)):
        stored = {Path(file.path).name for file in client.list_artifacts(number, folder)}
        assert stored == {file.name for file in own.iterdir()}


@pytest.mark.skipif(not HAS_WANDB, reason="wandb is not installed; the extra wandb installs it")
def test_wandb_has_steps_config_summary_and_artifacts_to_sync(run: bt.Run) -> None:
    records = wandb_records(run.path)
    first = records["run"][0]
    assert (first.project, first.display_name) == ("reviews", "first")
    config = {item.key: json.loads(item.value_json) for item in first.config.update}
    assert config["train.lr"] == 0.001 and config["fact.data.train.rows"] == rows(run)
    history = [
        {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in line.item}
        for line in records["history"]
    ]
    losses = {line["_step"]: line["train/loss"] for line in history if "train/loss" in line}
    assert losses == {line["step"]: line["loss"] for line in run.metrics()}
    summary = {item.key: item.value_json for line in records["summary"] for item in line.update}
    assert json.loads(summary["final/validation/mcc"]) == run.scores["mcc"]
    assert {artifact.type for artifact in records["artifact"]} == {"report", "model"}
    assert records["exit"][-1].exit_code == 0


@pytest.mark.skipif(not is_installed("trackio"), reason="trackio is not installed: it needs Pillow < 13")
def test_trackio_has_steps_config_and_results(
    reviews_csv: Path,
    tmp_path: Path,
    settings: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    import trackio

    overrides = settings(**{"track.to": "trackio", "track.project": tmp_path.name, "train.epochs": 1})
    run = tracked(train_source, reviews_csv, tmp_path / "run", overrides)[-1].run
    assert capsys.readouterr().out == ""
    (found,) = trackio.Api().runs(tmp_path.name)
    assert found.name.startswith("run-") and found.config["train.lr"] == 0.001
    lines = trackio.SQLiteStorage.get_logs(tmp_path.name, found.name)
    losses = {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}
    assert losses == {line["step"]: line["loss"] for line in run.metrics()}
    assert lines[-1]["final/validation/mcc"] == run.scores["mcc"] and lines[-1]["status"] == "complete"


def test_seeds_are_a_group_with_a_run_of_its_own(
    lines: Path, reviews_csv: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    overrides = settings(**{"train.seeds": 2, "train.epochs": 1, "track.to": f"{lines},mlflow"})
    events = tracked(train_seeds, reviews_csv, tmp_path / "two", overrides | {"track.project": "seeds"})
    assert [type(event) for event in events].count(Finished) == 1
    starts, ends = logged(lines, "start"), logged(lines, "finish")
    assert [start["name"] for start in starts] == ["two-seed-42", "two-seed-43", "two"]
    assert len({start["group"]["id"] for start in starts}) == 1
    assert [start["is_summary"] for start in starts] == [False, False, True]
    assert [end["status"] for end in ends] == ["complete"] * 3
    spread = events[-1].run.manifest["seeds"]["spread"]["validation"]["mcc"]
    assert ends[-1]["scores"]["seeds/validation/mcc_mean"] == spread["mean"]
    assert [end["artifacts"][1] != "None" for end in ends] == [False, False, True], "one model is stored"
    runs = mlflow_runs("seeds")
    assert set(runs) == {"two", "two-seed-42", "two-seed-43"}
    for seed in ("two-seed-42", "two-seed-43"):
        assert runs[seed].data.tags["mlflow.parentRunId"] == runs["two"].info.run_id


def test_folds_are_a_group_with_their_summary(
    lines: Path, reviews_csv: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    overrides = settings(**{"cross_validate.folds": 2, "train.epochs": 1, "track.to": str(lines)})
    result = tracked(cross_validate, reviews_csv, tmp_path / "folds", overrides)[-1].result
    assert [start["name"] for start in logged(lines, "start")] == ["folds-fold-1", "folds-fold-2", "folds"]
    assert logged(lines, "finish")[-1]["scores"]["folds/mcc_pooled"] == result.scores["mcc"]["pooled"]


def test_a_resumed_run_is_the_same_tracked_run(
    lines: Path, reviews_csv: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    """Every step is logged once, also by a tracker that is new after the interruption."""
    overrides = settings(**{"train.checkpoint_every": 2, "track.project": "resumed"})
    source = resolve_source(str(reviews_csv), overrides | {"track.to": "mlflow,tensorboard"})
    out = tmp_path / "run"
    with contextlib.closing(
        follow(train_source(source, out), source.config, out, lambda run: None)
    ) as events:  # stops in step 4, before its checkpoint: steps 3 and 4 are repeated
        next(event for event in events if isinstance(event, Stepped) and event.step.number == 4)
    assert mlflow_runs("resumed")["run"].info.status == "KILLED"
    resumed = overrides | {"track.to": f"mlflow,tensorboard,{lines}"}
    run = tracked(train_source, reviews_csv, out, resumed, resume=True)[-1].run
    expected = {line["step"]: line["loss"] for line in run.metrics()}
    (found,) = mlflow_runs("resumed").values()
    assert found.info.status == "FINISHED"
    assert mlflow_steps(found, "train/loss") == expected
    assert tensorboard_scalars(out)["train/loss"] == pytest.approx(expected, rel=1e-6)
    rows = [row for row in logged(lines, "row") if "train/loss" in row["values"]]
    assert {row["step"]: row["values"]["train/loss"] for row in rows} == expected
    assert len(rows) == len(expected)
    assert logged(lines, "finish")[-1]["step"] == len(expected)


def test_a_complete_run_is_logged_when_it_is_resumed(
    lines: Path, run: bt.Run, reviews_csv: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    """But only once, and only by trackers that have not logged it."""
    out = tmp_path / "run"
    tracked(train_source, reviews_csv, out, settings())
    for _ in range(2):
        tracked(train_source, reviews_csv, out, settings(**{"track.to": str(lines)}), resume=True)
    assert [line["kind"] for line in logged(lines) if line["kind"] != "row"] == ["start", "finish"]
    steps = [row["step"] for row in logged(lines, "row") if "train/loss" in row["values"]]
    assert steps == [line["step"] for line in open_run(out).metrics()]


def test_the_steps_of_a_refit_follow_those_of_the_training(
    lines: Path, reviews_csv: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    overrides = settings(**{"train.refit": True, "track.to": str(lines), "train.epochs": 1})
    run = tracked(train_source, reviews_csv, tmp_path / "run", overrides)[-1].run
    first, again = len(run.metrics()), run.manifest["refit"]["steps"]
    refit = [row["step"] for row in logged(lines, "row") if "refit/loss" in row["values"]]
    assert refit == list(range(first + 1, first + again + 1))
    assert logged(lines, "finish")[0]["step"] == first + again


def test_failing_trackers_change_nothing_and_warn_once(
    reviews_csv: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    methods = ("start", "log", "finish")
    for method in methods:
        (tmp_path / f"{method}.py").write_text(FAILING.replace("METHOD", method))
    plain = tracked(train_source, reviews_csv, tmp_path / "plain", settings(**{"train.epochs": 1}))
    names = ",".join(str(tmp_path / f"{method}.py") for method in methods)
    overrides = settings(**{"train.epochs": 1, "track.to": names})
    events = tracked(train_source, reviews_csv, tmp_path / "tracked", overrides)
    warnings = warned(events)
    assert len(warnings) == 3
    for method in methods:
        (warning,) = [
            text for text in warnings if text.startswith(f"{method}.py failed and will not log anything more")
        ]
        assert "RuntimeError: the server is on fire. Turn it off and on again. Resuming" in warning
    assert isinstance(events[-1], Finished), "the warnings come before the end"
    assert_same_work(events[-1].run, plain[-1].run)


def test_a_tracker_that_does_not_respond_is_given_up(
    lines: Path,
    reviews_csv: Path,
    tmp_path: Path,
    settings: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    released = threading.Event()
    monkeypatch.setattr(channel, "_UNOPENED_SECONDS", 0.1)
    monkeypatch.setattr(channel, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(threading, "released", released, raising=False)
    waiting = "        import threading; threading.released.wait()"
    lines.write_text(LINES.replace('        return "here"', waiting))
    overrides = settings(**{"train.epochs": 1, "track.to": str(lines)})
    events = tracked(train_source, reviews_csv, tmp_path / "run", overrides)
    released.set()
    assert isinstance(events[-1], Finished)
    (warning,) = warned(events)
    assert "no response for 0 seconds" in warning
    assert not (tmp_path / "run/tracking.json").read_text().count("complete")


def test_trackers_say_where_the_run_is(
    lines: Path, reviews_csv: Path, tmp_path: Path, settings: Callable[..., dict[str, Any]]
) -> None:
    overrides = settings(**{"train.epochs": 1, "track.to": str(lines)})
    events = tracked(train_source, reviews_csv, tmp_path / "run", overrides)
    assert "lines.py: here" in [event.text for event in events if isinstance(event, Noted)]
    start = logged(lines, "start")[0]
    assert start["settings"]["train.batch_size"] == 8 and start["facts"]["data.validation.rows"] == 6
