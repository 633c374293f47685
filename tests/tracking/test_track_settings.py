"""Wrong trackers are refused before training, code is not run unasked, and an error ends a tracker."""

import sys
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from bertune import api
from bertune.errors import ConfigError, MissingPackageError
from bertune.settings import resolve
from bertune.source import resolve_source
from bertune.tracking.channel import Channel
from bertune.tracking.tracker import Results, Row, Status, TrackedRun, Tracker


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("tensorbord", 'unknown tracker "tensorbord". Did you mean "tensorboard"?'),
        ("wandb,,mlflow", "track.to must be names separated by commas"),
        ("nowhere/mine.py", "the tracker file nowhere/mine.py does not exist"),
    ],
)
def test_a_wrong_tracker_is_refused_before_anything_is_written(
    given: str, message: str, reviews_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError) as caught:
        api.train(reviews_csv, settings={"track.to": given, "model.name": "nowhere"}, out="run")
    assert message in str(caught.value).replace(f"{tmp_path}/", "")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_tracker_package_is_named_with_its_extra(
    reviews_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "trackio", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'bertune\[trackio\]'"):
        api.train(reviews_csv, settings={"track.to": "trackio"}, out=tmp_path / "run")


def test_a_settings_file_cannot_name_code_to_run(reviews_csv: Path, tmp_path: Path) -> None:
    lines = tmp_path / "lines.py"
    file = tmp_path / "settings.toml"
    file.write_text(f'[data]\ntrain = "{reviews_csv}"\n[track]\nto = ["tensorboard", "lines.py"]\n')
    with pytest.raises(ConfigError, match=r"track.to names a Python file, .*lines\.py"):
        resolve_source(str(file), {})
    assert resolve_source(str(file), {"track.to": str(lines)}).config.track.to == (str(lines),)


def test_settings_without_trackers_are_not_recorded() -> None:
    assert "track" not in resolve({}).to_settings()
    assert "track" not in resolve({"track": {"to": "none"}}).to_settings()
    assert resolve({"track": {"to": "wandb, mlflow,wandb", "artifacts": "none"}}).track.artifacts == ()
    assert resolve({"track": {"to": "wandb, mlflow,wandb"}}).to_settings()["track"]["to"] == [
        "wandb",
        "mlflow",
    ]


class _FailsToStart(Tracker):
    """Raises in every method, and counts the calls."""

    def __init__(self) -> None:
        self.calls = 0
        self.is_queued = threading.Event()

    def start(self, run: TrackedRun) -> str:
        self.is_queued.wait()
        return self._fail()

    def log(self, rows: Sequence[Row]) -> None:
        self._fail()

    def finish(self, results: Results, status: Status) -> None:
        self._fail()

    def _fail(self) -> str:
        self.calls += 1
        raise OSError("unreachable")


def test_nothing_is_called_after_the_first_error(tmp_path: Path) -> None:
    """Also if calls are queued when it happens; repeated, because that was once a race."""
    for _ in range(30):
        tracker = _FailsToStart()
        channel = Channel("x", tracker)
        channel.start(TrackedRun("id", "name", "project", tmp_path, {}, {}))
        channel.log(Row(1, {"train/loss": 1.0}))
        tracker.is_queued.set()
        assert not channel.finish(Results(), "complete")
        channel.close()
        assert tracker.calls == 1
        assert [is_warning for is_warning, _ in channel.messages()] == [True]
