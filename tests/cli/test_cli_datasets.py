"""`bertune datasets`: every named data set and recipe, where its files are, and no download."""

import sys
from pathlib import Path
from typing import Any

import pytest

from bertune.data import named
from tiny import bertune, process, write_csv

SST2 = "sentence\tlabel\na fine film\t1\n"


@pytest.fixture(autouse=True)
def nothing_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No data sets of the user, and an empty cache."""
    monkeypatch.delenv("BERTUNE_DATA", raising=False)
    monkeypatch.setenv("BERTUNE_CACHE", str(tmp_path / "cache"))


def entries() -> dict[str, dict[str, Any]]:
    return {entry["name"]: entry for entry in bertune("datasets", "--json").fine().json}


def test_every_name_is_listed_with_its_task_and_description() -> None:
    found, shown = entries(), bertune("datasets").fine().out
    assert list(found) == named.names()
    for name, entry in found.items():
        (line,) = [line for line in shown.splitlines() if line.split()[:1] == [name]]
        assert entry["task"] in line and entry["about"][:20] in line
    assert {entry["kind"] for entry in found.values()} == {"data set", "recipe"}


def test_listing_downloads_nothing_and_finds_only_the_packaged_data_set(tmp_path: Path) -> None:
    found = entries()
    assert [name for name, entry in found.items() if entry["on_this_machine"]] == ["demo"]
    assert all(file["path"] is None for file in found["sst2"]["files"])
    assert not (tmp_path / "cache").exists()


def test_the_users_own_files_and_the_cache_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, cached = tmp_path / "own" / "sst2" / "train.tsv", tmp_path / "cache" / "data" / "sst2" / "dev.tsv"
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))
    own.parent.mkdir(parents=True)
    own.write_text(SST2)
    assert not entries()["sst2"]["on_this_machine"]
    cached.parent.mkdir(parents=True)
    cached.write_text(SST2)
    found = entries()
    assert found["sst2"]["on_this_machine"] and found["sst2-tutorial"]["on_this_machine"]
    files = {file["split"]: file for file in found["sst2"]["files"]}
    assert (files["train"]["path"], files["validation"]["path"]) == (str(own), str(cached))
    assert files["train"]["bytes"] == len(SST2)
    shown = bertune("datasets", "sst2").fine().out
    assert str(own) in shown and str(cached) in shown


def test_a_data_set_shows_its_source_settings_and_recipes() -> None:
    found = bertune("datasets", "sst2", "--json").fine().json
    assert found["recipes"] == ["sst2-glue", "sst2-tutorial"]
    assert found["settings"]["data.text"] == ["sentence"]
    urls = [source["url"] for source in found["published_at"]]
    assert urls == ["https://dl.fbaipublicfiles.com/glue/data/SST-2.zip"]
    shown = bertune("datasets", "sst2").fine().out
    for part in ("SST-2.zip", "BERTUNE_DATA/sst2", "sst2-glue", "data.text", "train.tsv"):
        assert part in shown


def test_a_recipe_of_a_recipe_has_the_settings_of_both_and_the_files_of_the_data_set() -> None:
    found = bertune("datasets", "sst2-glue", "--json").fine().json
    below = bertune("datasets", "sst2-tutorial", "--json").fine().json
    assert found["source"] == below["source"] == "sst2"
    assert found["files"] == below["files"]
    assert found["settings"].keys() >= below["settings"].keys() >= {"data.text", "train.epochs"}


def test_settings_that_a_recipe_removes_are_not_shown() -> None:
    assert "data.label" in bertune("datasets", "imdb", "--json").fine().json["settings"]
    assert "data.label" not in bertune("datasets", "imdb-mlm", "--json").fine().json["settings"]


def test_a_file_that_cannot_be_downloaded_says_where_to_get_it() -> None:
    name, file = next(
        (name, file)
        for name in named.names()
        if named.source_of(name) is None
        for file in named.dataset(name).files
        if file.only_own
    )
    shown = bertune("datasets", name).fine().out
    assert f"{file.name} is not published for download: {file.only_own}" in shown


def test_a_users_file_is_shown_like_a_named_data_set(here: Path) -> None:
    write_csv(here / "train.csv", [("good", "1")])
    (here / "mine.py").write_text(
        '"""My texts, a data set of one row. It is read from beside this file."""\n'
        "from pathlib import Path\n"
        "from bertune.data.named import Dataset, File\n"
        'DATASET = Dataset({}, (File("train", "train.csv", lambda path: None),), '
        "packaged_in=Path(__file__).parent)\n"
    )
    found = bertune("datasets", "mine.py", "--json").fine().json
    assert found["about"] == "My texts, a data set of one row"
    assert found["on_this_machine"]


def test_an_unknown_name_is_refused_with_the_nearest_one() -> None:
    refused = bertune("datasets", "colla")
    assert refused.code == 3
    assert 'Did you mean "cola"?' in refused.err


def test_a_folder_for_data_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTUNE_DATA", "/nowhere")
    refused = bertune("datasets")
    assert refused.code == 3
    assert "BERTUNE_DATA is set to /nowhere, which is not a folder" in refused.err


def test_the_list_needs_no_torch(here: Path) -> None:
    code = (
        "import sys; sys.argv = ['bertune', 'datasets']\n"
        "from bertune.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    assert "demo" in process(sys.executable, "-c", code, cwd=here).fine().out
