"""The settings in [track]: wrong trackers are refused before training, and code is not run unasked."""

import sys
from pathlib import Path

import pytest

from bertune import api
from bertune.errors import ConfigError, MissingPackageError
from bertune.settings import resolve
from bertune.source import resolve_source


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
