"""The real files of named data sets in BERTUNE_DATA: unchanged, found, and usable for training."""

import os
from pathlib import Path

import pytest
from published import dataset_of

from bertune import registry
from bertune.data.named import _files, defaults
from tiny import bertune

DATA = os.environ.get("BERTUNE_DATA")
pytestmark = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")
HERE = Path(DATA or "/nowhere").absolute()
FILES = [
    (name, file.name)
    for name in registry.names("dataset")
    for file in dataset_of(name).files
    if (HERE / (dataset_of(name).folder or name) / file.name).is_file()
]
WHOLE = sorted(
    name
    for name in registry.names("dataset")
    if all((name, file.name) in FILES or file.only_own for file in dataset_of(name).files)
)
SCORED = sorted({name for name, _ in FILES})


@pytest.fixture(autouse=True)
def own_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BERTUNE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BERTUNE_DATA", str(DATA))


def test_enough_data_sets_are_available() -> None:
    assert {"cola", "conll2003", "dream", "goemotions", "imdb", "newsgroups", "stsb", "wikiqa"} <= set(WHOLE)
    assert {"cmnli", "cmrc2018", "lcqmc", "msra_ner", "race_middle", "xnli_sw", "xquad_zh"} <= set(SCORED)


@pytest.mark.parametrize(("name", "file"), FILES)
def test_the_files_pass_their_checks(name: str, file: str) -> None:
    dataset = dataset_of(name)
    (check,) = [each.check for each in dataset.files if each.name == file]
    assert check(HERE / (dataset.folder or name) / file) is None


@pytest.mark.parametrize("name", WHOLE)
def test_the_files_are_found_in_bertune_data(name: str) -> None:
    dataset = dataset_of(name)
    found = _files.located(name, dataset).paths
    assert {path.parent for path in found.values()} == {HERE / (dataset.folder or name)}


@pytest.mark.parametrize("name", SCORED)
def test_an_evaluation_file_is_found_without_a_training_file(name: str) -> None:
    found = defaults(name, to_score=True).settings["data"]
    assert sum(use in found for use in ("train", "validation", "test")) == 1


@pytest.mark.parametrize(
    ("name", "labels"), [("goemotions", {"neutral", "grief"}), ("lcqmc", {"0", "1"}), ("msra_ner", {"NS"})]
)
def test_a_published_data_set_is_read_unchanged(
    name: str, labels: set[str], tmp_path: Path, tiny_weights: Path
) -> None:
    test = defaults(name, to_score=True).settings["data"]["test"]
    own = () if (name, "train.tsv") in FILES else (f"data.train={test}",)
    checked = bertune("check", name, *own, f"model.name={tiny_weights}", "model.max_length=32", "--json")
    splits = checked.fine().json["data"]["splits"]
    assert labels <= splits["train"]["labels"].keys()
    assert splits.keys() - {"calibration"} == {"train", "validation", "test"}  # many rows: some calibrate
