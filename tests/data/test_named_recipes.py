"""Settings of named data sets and recipes: all exist, none are shared, and all are as published."""

import copy
from pathlib import Path

import pytest
from published import dataset_of, paths

from bertune import registry
from bertune.data import named
from bertune.data.named import defaults, names
from bertune.settings import resolve
from bertune.tasks import make_task

DATA_SETS = registry.names("dataset")
GLUE = {
    "cola": "mcc", "mnli": "accuracy", "mrpc": "f1", "qnli": "accuracy", "qqp": "f1", "rte": "accuracy",
    "sst2": "accuracy", "stsb": "pearson_spearman", "wnli": "accuracy",
}  # fmt: skip
OF_GLUE = (
    "model.name=google-bert/bert-base-cased model.max_length=128 train.batch_size=32 train.lr=2e-05 "
    "train.warmup=0.0 train.weight_decay=0.0 train.seed=42 optimizer.eps=1e-08"
)
OF_CLUE = (
    "model.name=google-bert/bert-base-chinese model.max_length=128 train.batch_size=16 train.warmup=0.1 "
    "train.weight_decay=0.01"
)


@pytest.fixture(scope="module")
def empty_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create every file of every data set, empty, so that settings can be read without data."""
    own = tmp_path_factory.mktemp("own")
    for name in DATA_SETS:
        dataset = dataset_of(name)
        folder = own / (dataset.folder or name)
        folder.mkdir(parents=True, exist_ok=True)
        for file in dataset.files:
            (folder / file.name).touch()
    return own


@pytest.fixture(autouse=True)
def no_others(cache: Path, empty_files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERTUNE_DATA", str(empty_files))


@pytest.mark.parametrize("name", names())
def test_every_setting_exists_and_can_be_overridden(name: str) -> None:
    found = defaults(name)
    config = resolve(found.settings, {"train": {"epochs": 1}})
    assert config.train.epochs == 1
    assert paths(name) and all(path.is_file() for path in paths(name).values())
    assert config.data.text or "reader" in found.settings["data"]
    task = make_task(config.task)
    assert config.train.best_metric in ("auto", "loss", *task.scores)
    needed = {"text", "label"} if task.needs_label else {"text"}
    assert "reader" in found.settings["data"] or needed <= found.settings["data"].keys() or name == "ax"


@pytest.mark.parametrize("name", names())
def test_changing_returned_settings_has_no_side_effects(name: str) -> None:
    first = defaults(name).settings
    kept = copy.deepcopy(first)
    first["data"].setdefault("text", []).append("changed")
    first["data"]["label"] = "changed"
    assert defaults(name).settings == kept


@pytest.mark.parametrize(("name", "score"), GLUE.items())
def test_each_glue_data_set_has_its_metric(name: str, score: str) -> None:
    assert resolve(defaults(name).settings).train.best_metric == score
    assert resolve(defaults(f"{name}-glue").settings).train.best_metric == score


def test_mnli_has_both_its_dev_files() -> None:
    data = resolve(defaults("mnli").settings).data
    assert [Path(str(file)).name for file in (data.validation, data.test)] == [
        "dev_matched.tsv",
        "dev_mismatched.tsv",
    ]


@pytest.mark.parametrize("kind", ["matched", "mismatched"])
def test_each_dev_file_of_mnli_has_a_name(kind: str) -> None:
    data = defaults(f"mnli_{kind}", to_score=True).settings["data"]
    whole = defaults("mnli").settings["data"]
    assert data["test"] in (whole["validation"], whole["test"])
    assert Path(data["test"]).name == f"dev_{kind}.tsv"
    assert {key: data[key] for key in ("text", "label", "header", "delimiter")} == {
        key: whole[key] for key in ("text", "label", "header", "delimiter")
    }


@pytest.mark.parametrize(
    ("name", "facts"),
    [
        (
            "cola-tutorial",
            "model.max_length=64 train.batch_size=32 train.lr=2e-05 optimizer.eps=1e-08 train.epochs=4.0 "
            "train.warmup=0.0 train.weight_decay=0.0 data.validation_fraction=0.1 data.validation=None "
            "train.seed=42 model.name=google-bert/bert-base-uncased",
        ),
        (
            "cord19-tutorial",
            "model.name=google/bert_uncased_L-4_H-512_A-8 model.max_length=128 train.freeze=encoder "
            "train.epochs=3.0 train.batch_size=16 train.warmup=500.0 train.weight_decay=0.01 "
            "data.validation_fraction=0.2",
        ),
        (
            "imdb-tutorial",
            "model.name=google-bert/bert-base-uncased model.max_length=512 train.batch_size=8 "
            "train.epochs=3.0 train.evaluate_every=500 train.patience=3 train.best_metric=loss "
            "train.warmup=0.0 train.weight_decay=0.0 data.validation=None",
        ),
        (
            "chnsenticorp-tutorial",
            "model.name=google-bert/bert-base-chinese model.max_length=512 train.lr=1e-05 train.epochs=8.0 "
            "train.batch_size=8 optimizer.beta1=0.9 optimizer.beta2=0.98 optimizer.eps=1e-08 "
            "train.warmup=0.1 train.weight_decay=0.01 train.best_metric=accuracy",
        ),
        *((f"{name}-glue", f"{OF_GLUE} train.epochs=3.0") for name in GLUE if name not in ("mrpc", "wnli")),
        *((f"{name}-glue", f"{OF_GLUE} train.epochs=5.0") for name in ("mrpc", "wnli")),
        ("mrpc-tutorial", f"{OF_GLUE} train.epochs=5.0 train.best_metric=f1"),
        ("sst2-tutorial", f"{OF_GLUE} train.epochs=3.0 train.best_metric=accuracy"),
        ("afqmc-clue", f"{OF_CLUE} train.lr=2e-05 train.epochs=3.0"),
        ("tnews-clue", f"{OF_CLUE} train.lr=2e-05 train.epochs=3.0"),
        ("cmnli-clue", f"{OF_CLUE} train.lr=3e-05 train.epochs=2.0"),
        ("cmrc2018-clue", "model.max_length=256 train.batch_size=32 train.lr=3e-05 train.epochs=2.0"),
        (
            "squad-bert",
            "model.max_length=384 train.batch_size=12 train.lr=3e-05 train.epochs=2.0 train.warmup=0.1 "
            "task.stride=128 task.max_answer=30 task.n_best=20",
        ),
        ("squad_v2-bert", "model.max_length=384 train.batch_size=24 train.lr=3e-05 train.epochs=2.0"),
        ("swag-bert", "train.batch_size=16 train.lr=2e-05 train.epochs=3.0"),
        ("dream-bert", "model.max_length=512 train.batch_size=24 train.lr=2e-05 train.epochs=8.0"),
        ("c3-bert", "model.max_length=512 train.batch_size=24 train.lr=2e-05 train.epochs=8.0"),
        ("xnli_zh-bert", "model.max_length=128 train.batch_size=32 train.lr=5e-05 train.epochs=2.0"),
        ("conll2003-course", "train.batch_size=8 train.lr=2e-05 train.epochs=3.0 train.weight_decay=0.01"),
        (
            "goemotions-paper",
            "model.max_length=50 train.batch_size=16 train.lr=5e-05 train.epochs=4.0 task.threshold=0.3 "
            "train.best_metric=macro_f1",
        ),
        (
            "stsb-sbert",
            "train.batch_size=16 train.lr=2e-05 train.epochs=4.0 task.name=embeddings task.loss=mse "
            "data.label=score train.best_metric=spearman",
        ),
        ("wikiqa-tanda", "model.max_length=128 train.batch_size=150 train.lr=2e-05 train.epochs=2.0"),
        (
            "imdb-head-tail",
            "model.max_length=512 train.batch_size=24 train.lr=2e-05 train.epochs=4.0 "
            "task.long_texts=head_tail",
        ),
        (
            "imdb-mlm",
            "model.max_length=128 train.batch_size=64 train.lr=2e-05 train.weight_decay=0.01 "
            "task.name=language_modelling task.mask_probability=0.15 data.label=None data.test=None",
        ),
    ],
)
def test_a_recipe_states_the_published_result(name: str, facts: str) -> None:
    config = resolve(defaults(name).settings)
    options = {"name": config.task.name} | config.task.options
    seen = {}
    for fact in facts.split():
        key = fact.partition("=")[0]
        section, _, setting = key.partition(".")
        seen[key] = str(options[setting] if section == "task" else getattr(getattr(config, section), setting))
    assert " ".join(f"{key}={value}" for key, value in seen.items()) == facts


def test_every_recipe_starts_with_what_it_reproduces() -> None:
    for path in Path(named.__file__).parent.glob("*.toml"):
        assert path.read_text(encoding="utf-8").startswith("# Reproduces "), path.name


def test_every_task_has_a_recipe() -> None:
    assert {entry.task for entry in named.known() if entry.is_recipe} == set(registry.names("task"))


def test_descriptions_end_with_a_sentence() -> None:
    for entry in named.known():
        assert entry.about.count("(") == entry.about.count(")"), entry.name
        assert entry.about.count('"') % 2 == 0, entry.name
