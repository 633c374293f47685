"""What is said about a path that is not a run folder."""

from pathlib import Path

import pytest

from bertune.errors import InputError
from bertune.run import open_run


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("tuning.json", "it is a search. Pass the run of its best settings: .*best"),
        ("cross-validation.json", "it is a cross-validation. Pass the run of a fold, such as .*fold-1"),
        ("bertune.json", "it is a saved model or an export. Pass the folder of the run"),
        ("notes.txt", "it has no manifest.json"),
    ],
)
def test_other_folders_are_named(tmp_path: Path, file: str, expected: str) -> None:
    (tmp_path / file).write_text("{}", encoding="utf-8")
    with pytest.raises(InputError, match=expected):
        open_run(tmp_path)


def test_a_file_is_not_called_missing(tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_text("text,label\n", encoding="utf-8")
    with pytest.raises(InputError, match="it is a file"):
        open_run(tmp_path / "reviews.csv")
    with pytest.raises(InputError, match="does not exist"):
        open_run(tmp_path / "nothing")
