"""Named data sets and recipes: names, where their files are searched, and settings."""

import csv
import gzip
import importlib
from pathlib import Path

import pytest
from published import dataset_of, paths

from bertune.data import named
from bertune.data.named import defaults, names
from bertune.errors import ConfigError, DataError
from bertune.settings import resolve
from bertune.source import resolve_source

LANGUAGES = ["ar", "bg", "de", "el", "en", "es", "fr", "hi", "ru", "sw", "th", "tr", "ur", "vi", "zh"]
DATA_SETS = sorted(
    [
        "afqmc", "ag_news", "ag_news_10k", "ax", "banking77", "c3", "chnsenticorp", "clinc150", "cmnli",
        "cmrc2018", "cola", "conll2003", "cord19", "demo", "dream", "goemotions", "imdb", "lcqmc", "mnli",
        "mnli_matched", "mnli_mismatched", "mrpc", "msra_ner", "newsgroups", "qnli", "qqp", "race",
        "race_high", "race_middle", "resume_ner", "rte", "squad", "squad1_slice", "squad2_half_dev",
        "squad_v2", "sst2", "stsb", "swag", "tnews", "tydiqa_en", "weibo_ner", "wikiqa", "wnli", "xquad_en",
        "xquad_zh",
        *(f"xnli_{language}" for language in LANGUAGES),
    ]
)  # fmt: skip
NO_TRAINING_FILE = {"ax", "mnli_matched", "mnli_mismatched", "xquad_en", "xquad_zh"}


def test_all_data_sets_and_recipes_are_listed() -> None:
    recipes = sorted(path.stem for path in Path(named.__file__).parent.glob("*.toml"))
    assert names() == DATA_SETS + recipes
    assert not set(DATA_SETS) & set(recipes)


def test_an_unknown_name_is_an_error_with_the_known_names() -> None:
    with pytest.raises(
        ConfigError,
        match=r'unknown data set or recipe "coal"\. Did you mean "cola"\? Available names: afqmc, ag_news',
    ):
        defaults("coal")


def test_the_users_file_takes_precedence_and_is_not_verified(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in (tmp_path / "own" / "cola", cache / "cola"):
        folder.mkdir(parents=True)
        for name in ("in_domain_train.tsv", "in_domain_dev.tsv", "out_of_domain_dev.tsv"):
            (folder / name).write_text("mine\n")
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))
    assert {path.parent for path in paths("cola").values()} == {tmp_path / "own" / "cola"}


def test_paths_are_absolute_even_if_the_variable_is_relative(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own" / "sst2").mkdir(parents=True)
    for name in ("train.tsv", "dev.tsv"):
        (tmp_path / "own" / "sst2" / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BERTUNE_DATA", "own")
    assert paths("sst2")["train"] == tmp_path / "own" / "sst2" / "train.tsv"


def test_a_folder_that_does_not_exist_is_an_error(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTUNE_DATA", "/no/such/folder")
    with pytest.raises(ConfigError, match="BERTUNE_DATA is set to /no/such/folder, which is not a folder"):
        defaults("cola")


def test_a_sample_is_used_with_a_note_if_the_full_file_is_missing(
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


def test_the_environment_determines_the_cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = importlib.import_module("bertune.data.named._files")
    monkeypatch.delenv("BERTUNE_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert files.cache_folder() == tmp_path / ".cache" / "bertune"
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    assert files.cache_folder() == Path("/xdg/bertune")
    monkeypatch.setenv("BERTUNE_CACHE", "~/mine")
    assert files.cache_folder() == tmp_path / "mine"


def test_the_demo_is_packaged(cache: Path) -> None:
    found = defaults("demo")
    path = Path(found.settings["data"]["train"])
    assert path == Path(named.__file__).with_name("demo.csv")
    with path.open(encoding="utf-8", newline="") as file:
        assert next(csv.reader(file)) == ["id", "text", "label"]
    config = resolve(found.settings)
    assert (config.model.name, config.train.epochs, config.data.validation_fraction, config.data.id) == (
        "minilm",
        6,
        0.2,
        "id",
    )
    assert not cache.exists()


def test_a_truncated_file_in_the_cache_is_named(cache: Path) -> None:
    (cache / "cola").mkdir(parents=True)
    (cache / "cola" / "in_domain_train.tsv").write_text("gj04\t1\t\tOne.\n" * 8550)
    with pytest.raises(DataError, match=r"the file has 8550 lines, expected 8551\. Delete it"):
        defaults("cola")


def test_a_damaged_gzip_in_the_cache_is_named(cache: Path) -> None:
    (cache / "imdb").mkdir(parents=True)
    for name, content in {
        "train.csv.gz": gzip.compress(b"id,text,label\n" * 99)[:30],
        "test.csv.gz": b"no",
    }.items():
        (cache / "imdb" / name).write_bytes(content)
    with pytest.raises(
        DataError, match=r"train\.csv\.gz is not the published file of imdb: the file cannot be read"
    ):
        defaults("imdb")


def test_a_users_data_set_is_a_settings_file(
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
    with pytest.raises(
        ConfigError, match=r"mine\.py: DATASET must be a bertune\.data\.named\.Dataset, got int"
    ):
        defaults(str(source))


@pytest.mark.parametrize("name", sorted(NO_TRAINING_FILE))
def test_training_on_an_evaluation_only_data_set_is_an_error(
    name: str, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_files(tmp_path, monkeypatch, name, "test")
    with pytest.raises(ConfigError, match=rf"{name} has no training file.*bertune evaluate RUN {name}"):
        resolve_source(name, {})
    trained_elsewhere = resolve_source(name, {"data.train": str(tmp_path / "mine.tsv")}).config.data
    assert trained_elsewhere.test == str(paths(name)["test"])


def test_another_task_ignores_the_settings_of_the_data_set(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_files(tmp_path, monkeypatch, "stsb", "train", "validation")
    sources = [resolve_source("stsb", {"task.name": name}) for name in ("regression", "embeddings")]
    assert [" ".join(source.notes) for source in sources] == [
        "",
        "task.name=embeddings: ignored task.low, task.high, train.best_metric, which the data set defines "
        "for regression",
    ]
    usual, other = (source.config for source in sources)
    assert usual.task.options == {"low": 0, "high": 5}
    assert (other.task.options, other.train.best_metric) == ({}, "auto")
    assert (other.data.text, other.data.label) == (usual.data.text, usual.data.label)
    (tmp_path / "mine.toml").write_text('source = "stsb"\n[task]\nname = "embeddings"\n')
    assert resolve_source(str(tmp_path / "mine.toml"), {}).config.task.options == {}
    again = resolve_source(str(tmp_path / "mine.toml"), {"task.name": "regression"})
    assert again.config.task.options == usual.task.options


def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, *uses: str) -> Path:
    """Create BERTUNE_DATA with these one-line files of a data set."""
    dataset = dataset_of(name)
    folder = tmp_path / "own" / (dataset.folder or name)
    folder.mkdir(parents=True)
    for file in dataset.files:
        if file.use in uses:
            (folder / file.name).write_text("mine\n")
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))
    return folder


def test_an_unpublished_training_file_can_be_absent(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_files(tmp_path, monkeypatch, "lcqmc", "validation", "test")
    assert paths("lcqmc") == {"validation": folder / "dev.txt", "test": folder / "test.txt"}
    with pytest.raises(
        ConfigError, match=r"not published for download: 238,766 lines.*lcqmc/train\.txt.*data\.train=FILE"
    ):
        resolve_source("lcqmc", {})
    (folder / "train.txt").write_text("mine\n")
    assert resolve_source("lcqmc", {}).config.data.train == str(folder / "train.txt")


def test_for_evaluation_only_one_file_is_needed(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_files(tmp_path, monkeypatch, "race_middle", "test")
    assert defaults("race_middle", to_score=True).settings["data"]["test"] == str(folder / "test.json")


def test_for_evaluation_the_validation_file_is_used_if_it_is_the_only_one(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_files(tmp_path, monkeypatch, "xnli_zh", "validation")
    found = defaults("xnli_zh", to_score=True).settings["data"]
    assert (found.get("test"), found["validation"]) == (None, str(folder / "dev-zh.tsv"))
    (folder / "test-zh.tsv").write_text("mine\n")
    found = defaults("xnli_zh", to_score=True).settings["data"]
    assert (found["test"], found.get("validation")) == (str(folder / "test-zh.tsv"), None)


def test_every_name_has_a_description_and_a_task() -> None:
    known = {entry.name: entry for entry in named.known()}
    assert list(known) == names()
    assert all(entry.about and not entry.about.endswith(".") for entry in known.values())
    assert known["cola"].about.startswith("CoLA 1.1: acceptability of English sentences (Warstadt")
    assert known["cola"].task == "classification"
    assert (known["squad-bert"].task, known["squad-bert"].is_recipe) == ("question_answering", True)
    assert known["imdb-mlm"].task == "language_modelling", "a recipe may do something else with a data set"
    assert known["mrpc-glue"].task == "classification", "a recipe may stand on another"


def test_a_file_set_by_the_user_is_not_located(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = own_files(tmp_path, monkeypatch, "cmrc2018", "validation", "test")
    data = resolve_source("cmrc2018", {"data.train": "mine.json"}).config.data
    assert (Path(str(data.train)).name, data.validation) == ("mine.json", str(folder / "cmrc2018_dev.json"))
    settings = tmp_path / "mine.toml"
    settings.write_text('source = "cmrc2018-clue"\n[data]\ntrain = "other.json"\n')
    assert resolve_source(str(settings), {}).config.data.train == str(tmp_path / "other.json")
    assert not cache.exists()
