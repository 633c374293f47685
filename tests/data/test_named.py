"""Named data sets and recipes: their names, where their files are looked for, their settings."""

import copy
import csv
import gzip
import importlib
import os
from pathlib import Path

import pytest
from published import dataset_of

from bertune.config import resolve
from bertune.data import named
from bertune.data.named import defaults, names
from bertune.errors import ConfigError, DataError

DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")
DATA_SETS = [
    "afqmc", "banking77", "chnsenticorp", "cola", "conll2003", "cord19", "demo", "dream", "imdb", "mnli",
    "mrpc", "qnli", "qqp", "resume_ner", "rte", "sst2", "stsb", "tnews", "tydiqa_en", "weibo_ner", "wikiqa",
    "wnli",
]  # fmt: skip
RECIPES = [f"{name}-tutorial" for name in ("chnsenticorp", "cola", "cord19", "imdb", "mrpc", "sst2")]
NOT_HERE = {"mnli", "qnli", "qqp", "wnli"}  # no copy of these is at hand


def paths(name: str) -> dict[str, Path]:
    data = defaults(name).settings["data"]
    return {use: Path(data[use]) for use in ("train", "validation", "test") if use in data}


def test_every_data_set_and_recipe_has_a_name() -> None:
    assert names() == DATA_SETS + RECIPES


def test_an_unknown_name_is_answered_with_the_names_there_are() -> None:
    with pytest.raises(
        ConfigError, match=r'no data set or recipe "coal"\. Did you mean "cola"\? .*imdb-tutorial'
    ):
        defaults("coal")


def test_the_users_own_file_is_used_unchecked_and_first(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "own" / "cola", cache / "cola"):
        folder.mkdir(parents=True)
        for name in ("in_domain_train.tsv", "in_domain_dev.tsv", "out_of_domain_dev.tsv"):
            (folder / name).write_text("mine\n")
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))
    assert {path.parent for path in paths("cola").values()} == {tmp_path / "own" / "cola"}


def test_paths_are_absolute_though_the_variable_is_not(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own" / "sst2").mkdir(parents=True)
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / "own" / "sst2" / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BERTUNE_DATA", "own")
    assert paths("sst2")["train"] == tmp_path / "own" / "sst2" / "train.tsv"


def test_a_folder_that_does_not_exist_is_not_passed_over(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTUNE_DATA", "/no/such/folder")
    with pytest.raises(ConfigError, match="BERTUNE_DATA is set to /no/such/folder, which is not a folder"):
        defaults("cola")


def test_a_sample_is_used_only_without_the_whole_and_says_so(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own" / "cord19"
    own.mkdir(parents=True)
    sample = own / "cord19-query-title-label.sample165.csv"
    sample.write_bytes(b"query,title,label\n")
    monkeypatch.setenv("BERTUNE_DATA", str(own.parent))
    for name in ("cord19", "cord19-tutorial"):
        found = defaults(name)
        assert found.settings["data"]["train"] == str(sample)
        (note,) = found.notes
        assert note.startswith("cord19: this is a sample of 165 rows with 2 positives")
    (own / "cord19-query-title-label.csv").write_bytes(b"query,title,label\n")
    found = defaults("cord19")
    assert (found.settings["data"]["train"], found.notes) == (str(own / "cord19-query-title-label.csv"), ())


def test_the_cache_is_where_the_environment_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = importlib.import_module("bertune.data.named._files")
    monkeypatch.delenv("BERTUNE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "bertune"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert files.cache_folder() == Path("/xdg/bertune")
    monkeypatch.setenv("BERTUNE_CACHE", "~/mine")
    assert files.cache_folder() == tmp_path / "mine"


def test_the_demo_comes_with_the_package(cache: Path) -> None:
    found = defaults("demo")
    path = Path(found.settings["data"]["train"])
    assert path == Path(named.__file__).with_name("demo.csv")
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["id", "text", "label"]
    config = resolve(found.settings)
    assert (config.model.name, config.train.epochs, config.data.split, config.data.id) == (
        "minilm",
        6,
        0.2,
        "id",
    )
    assert not cache.exists()


def test_a_file_in_the_cache_that_is_too_short_is_named(cache: Path) -> None:
    (cache / "cola").mkdir(parents=True)
    (cache / "cola" / "in_domain_train.tsv").write_text("gj04\t1\t\tOne.\n" * 8550)
    with pytest.raises(DataError, match=r"it has 8550 lines, the published file has 8551\. Delete it"):
        defaults("cola")


def test_a_damaged_gzip_in_the_cache_is_named(cache: Path) -> None:
    (cache / "imdb").mkdir(parents=True)
    for name, content in {
        "train.csv.gz": gzip.compress(b"id,text,label\n" * 99)[:30],
        "test.csv.gz": b"no",
    }.items():
        (cache / "imdb" / name).write_bytes(content)
    with pytest.raises(
        DataError, match=r"train\.csv\.gz is not the published file of imdb: it cannot be read"
    ):
        defaults("imdb")


def test_a_data_set_of_the_users_own_is_a_file(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "mine.py"
    source.write_text(
        "from bertune.data.named import Dataset, File\n"
        "DATASET = Dataset({'data': {'label': '1'}}, (File('train', 'a.tsv', lambda path: None),))\n"
    )
    (tmp_path / "own" / "mine").mkdir(parents=True)
    (tmp_path / "own" / "mine" / "a.tsv").touch()
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))
    assert paths(str(source)) == {"train": tmp_path / "own" / "mine" / "a.tsv"}
    source.write_text("DATASET = 3\n")
    with pytest.raises(ConfigError, match=r"mine\.py: DATASET must be a bertune\.data\.named\.Dataset"):
        defaults(str(source))


@pytest.fixture
def empty_files(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file of every data set, empty, so that settings can be read without data."""
    for name in DATA_SETS:
        (tmp_path / "own" / name).mkdir(parents=True)
        for file in dataset_of(name).files:
            (tmp_path / "own" / name / file.name).touch()
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))


@pytest.mark.usefixtures("empty_files")
@pytest.mark.parametrize("name", DATA_SETS + RECIPES)
def test_every_setting_exists_and_may_be_overridden(name: str) -> None:
    found = defaults(name)
    config = resolve(found.settings, {"train": {"epochs": 1}})
    assert config.train.epochs == 1
    assert config.data.train is not None
    assert Path(config.data.train).is_file()
    assert (config.data.text and config.data.label) or "reader" in found.settings["data"]


@pytest.mark.usefixtures("empty_files")
@pytest.mark.parametrize("name", DATA_SETS + RECIPES)
def test_changing_the_settings_changes_no_later_ones(name: str) -> None:
    first = defaults(name).settings
    kept = copy.deepcopy(first)
    first["data"].setdefault("text", []).append("changed")
    first["data"]["label"] = "changed"
    assert defaults(name).settings == kept


@pytest.mark.usefixtures("empty_files")
@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "cola-tutorial",
            "model.max_length=64 train.batch_size=32 train.lr=2e-05 optimizer.eps=1e-08 train.epochs=4.0 "
            "train.warmup=0.0 train.weight_decay=0.0 data.split=0.1 data.validation=None train.seed=42 "
            "model.name=google-bert/bert-base-uncased",
        ),
        (
            "cord19-tutorial",
            "model.name=google/bert_uncased_L-4_H-512_A-8 model.max_length=128 train.freeze=encoder "
            "train.epochs=3.0 train.batch_size=16 train.warmup=500.0 train.weight_decay=0.01 data.split=0.2",
        ),
        (
            "imdb-tutorial",
            "model.name=google-bert/bert-base-uncased model.max_length=512 train.batch_size=8 "
            "train.epochs=3.0 train.evaluate_every=500 train.patience=3 train.best_by=loss train.warmup=0.0 "
            "train.weight_decay=0.0 data.validation=None",
        ),
        (
            "chnsenticorp-tutorial",
            "model.name=google-bert/bert-base-chinese model.max_length=512 train.lr=1e-05 train.epochs=8.0 "
            "train.batch_size=8 optimizer.beta1=0.9 optimizer.beta2=0.98 optimizer.eps=1e-08 "
            "train.warmup=0.1 train.weight_decay=0.01 train.best_by=accuracy",
        ),
        ("mrpc-tutorial", "train.batch_size=32 train.lr=2e-05 train.epochs=5.0 train.best_by=f1"),
        ("sst2-tutorial", "train.batch_size=32 train.lr=2e-05 train.epochs=3.0 train.best_by=accuracy"),
    ],
)
def test_a_recipe_says_what_its_tutorial_says(name: str, facts: str) -> None:
    config = resolve(defaults(name).settings)
    seen = {}
    for fact in facts.split():
        key = fact.partition("=")[0]
        section, _, setting = key.partition(".")
        seen[key] = str(getattr(getattr(config, section), setting))
    assert " ".join(f"{key}={value}" for key, value in seen.items()) == facts


def test_every_recipe_opens_with_what_it_reproduces() -> None:
    for path in Path(named.__file__).parent.glob("*.toml"):
        assert path.read_text(encoding="utf-8").startswith("# Reproduces "), path.name


@needs_data
@pytest.mark.parametrize("name", sorted({*DATA_SETS} - {"demo", "cord19"} - NOT_HERE))
def test_the_real_files_pass_the_checks_of_published_ones(name: str) -> None:
    assert DATA is not None
    for file in dataset_of(name).files:
        assert file.check(Path(DATA) / name / file.name) is None


@needs_data
@pytest.mark.parametrize("name", sorted({*DATA_SETS, *RECIPES} - NOT_HERE))
def test_the_real_files_are_found_where_bertune_data_says(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert DATA is not None
    monkeypatch.setenv("BERTUNE_CACHE", str(tmp_path))
    found = paths(name)
    assert all(path.is_file() for path in found.values())
    if not name.startswith("demo"):
        assert {path.parent for path in found.values()} == {
            Path(DATA).absolute() / name.removesuffix("-tutorial")
        }
