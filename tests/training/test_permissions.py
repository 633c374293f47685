"""Files have the permissions of the umask, because one user may serve a model that another trained."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bertune.files import give_usual_permissions
from trainings import train

POSIX = pytest.mark.skipif(os.name != "posix", reason="needs permissions of files")


@pytest.fixture(params=[0o022, 0o002, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Any:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@POSIX
def test_private_files_get_the_permissions_of_new_files(umask: int, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    for name in ("a", "inner/b", "alone"):
        (tmp_path / name).touch(mode=0o600)
    (tmp_path / "outside").touch(mode=0o600)
    (tmp_path / "inner" / "link").symlink_to(tmp_path / "outside")
    give_usual_permissions(tmp_path / "inner")
    give_usual_permissions(tmp_path / "a")
    assert mode(tmp_path / "inner" / "b") == mode(tmp_path / "a") == 0o666 & ~umask
    assert mode(tmp_path / "alone") == mode(tmp_path / "outside") == 0o600
    assert mode(tmp_path / "inner") == 0o777 & ~umask
    assert not list(tmp_path.rglob("*bertune-tmp")), "the file that asks for the umask is removed"


@POSIX
def test_every_file_of_a_run_follows_the_umask(
    settings: Callable[..., dict[str, Any]], reviews_csv: Path, tmp_path: Path
) -> None:
    before = os.umask(0o002)
    try:
        run, _ = train(reviews_csv, tmp_path / "run", settings(**{"train.epochs": 1}))
    finally:
        os.umask(before)
    for path in (run.path, *run.path.rglob("*")):
        assert mode(path) == (0o775 if path.is_dir() else 0o664), path


@POSIX
def test_the_weights_of_a_checkpoint_follow_the_umask(tmp_path: Path) -> None:
    import torch

    from bertune.training.checkpoint import Checkpoints

    before = os.umask(0o022)
    try:
        checkpoints = Checkpoints(tmp_path / "checkpoints")
        checkpoints.save_best(1, {"weight": torch.zeros(2)})
    finally:
        os.umask(before)
    assert mode(checkpoints.best_path(1)) == 0o644
