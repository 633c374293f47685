"""A custom task, reader or head is one file, which is executed only if the user names it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bertune import registry
from bertune.errors import ConfigError
from tiny import QUICK, Result, bertune, reviews, write_csv

# Each file creates a marker file next to it when it is executed.
TOLD = "from pathlib import Path\nPath(__file__).with_suffix('.executed').touch()\n"
TASK = (
    TOLD
    + """
from bertune.tasks.classification.task import Classification

class Shouting(Classification):
    primary = "accuracy"

    def parse(self, row, columns):
        example = super().parse(row, columns)
        if example.gold is None:
            return example
        return type(example)(example.id, example.origin, example.texts, example.gold.upper())

TASK = Shouting
"""
)
READER = (
    TOLD
    + """
from bertune.data.rows import Origin, Row

def read(path, options):
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        label, text = line.split(" | ")
        yield Row({"text": text, "label": label}, Origin(str(path), number))
"""
)
HEAD = (
    TOLD
    + """
import torch
from torch import nn

class Mean(nn.Module):
    def __init__(self, hidden_size, num_outputs, dropout):
        super().__init__()
        self.linear = nn.Linear(hidden_size, num_outputs)

    def forward(self, hidden_TH, batch):
        parts = hidden_TH.split(batch.lengths_S.tolist())
        return self.linear(torch.stack([part.mean(0) for part in parts]))

HEAD = Mean
"""
)


@dataclass(frozen=True)
class Own:
    """A kind of code file, the setting that names it, and the data for testing it."""

    setting: str
    file: str
    code: str
    data: str = "a.csv"

    @property
    def given(self) -> str:
        return f"{self.setting}={self.file}"


KINDS = {
    "task": Own("task.name", "my_task.py", TASK),
    "head": Own("model.head", "my_head.py", HEAD),
    "reader": Own("data.reader", "my_reader.py", READER, "a.lines"),
}
every_kind = pytest.mark.parametrize("own", KINDS.values(), ids=KINDS)


def write_files(folder: Path) -> None:
    for own in KINDS.values():
        (folder / own.file).write_text(own.code)
    write_csv(folder / "a.csv", reviews(20))
    (folder / "a.lines").write_text("".join(f"{label} | {text}\n" for text, label in reviews(20)))


@pytest.fixture(scope="session")
def trained(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Own], Path]:
    """A folder with a run for each kind of file. Read only."""
    made: dict[str, Path] = {}

    def train(own: Own) -> Path:
        if own.setting not in made:
            folder = tmp_path_factory.mktemp("own")
            write_files(folder)
            with pytest.MonkeyPatch.context() as patch:
                patch.chdir(folder)
                bertune(
                    "train", own.data, f"model.name={tiny_weights}", *QUICK, own.given, "--out", "run"
                ).fine()
            assert (folder / own.file).with_suffix(".executed").exists()
            made[own.setting] = folder
        return made[own.setting]

    return train


@pytest.fixture
def here(trained: Callable[[Own], Path], own: Own, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the trained folder, as the current folder, without marker files."""
    folder = tmp_path / "here"
    shutil.copytree(trained(own), folder)
    (folder / own.file).with_suffix(".executed").unlink()
    monkeypatch.chdir(folder)
    return folder


def is_executed(here: Path, own: Own) -> bool:
    return (here / own.file).with_suffix(".executed").exists()


def predict(own: Own, *settings: str) -> Result:
    return bertune("predict", "run", own.data, *settings)


@every_kind
def test_a_users_file_can_be_set_by_its_path(here: Path, own: Own) -> None:
    lines = [
        json.loads(line) for line in (here / "run/predictions/validation.jsonl").read_text().splitlines()
    ]
    expected = {"GOOD", "BAD"} if own.setting == "task.name" else {"good", "bad"}
    assert {line["gold"] for line in lines} == expected
    assert (here / "run" / "model" / "head.safetensors").exists() == (own.setting == "model.head")


@every_kind
def test_a_run_with_a_users_file_asks_for_it_again(here: Path, own: Own) -> None:
    said = predict(own)
    assert said.code == 3
    assert said.err.count("error:") == 1 and f"{own.setting}=" in said.err and own.file in said.err
    assert not is_executed(here, own), "code that only a run names must not be executed"
    labelled = bertune("evaluate", "run", own.data)
    assert labelled.code == 3 and f"{own.setting}=" in labelled.err
    assert not is_executed(here, own)


@every_kind
def test_a_run_works_if_its_file_is_named_again(here: Path, own: Own) -> None:
    assert len(predict(own, own.given).fine().lines) == 20
    assert is_executed(here, own)
    data = own.data
    if own.setting == "task.name":
        bertune("evaluate", "run", data, own.given, "--json").fine()
    scores = bertune("evaluate", "run", data, own.given, "--json").fine().json
    assert scores["examples"] == 20


@every_kind
def test_the_same_file_can_be_elsewhere(here: Path, own: Own) -> None:
    (here / "other").mkdir()
    (here / own.file).rename(here / "other" / "renamed.py")
    predict(own, f"{own.setting}=other/renamed.py").fine()


@pytest.mark.parametrize("own", [KINDS["task"], KINDS["head"]], ids=["task", "head"])
def test_a_changed_file_is_refused_before_it_is_executed(here: Path, own: Own) -> None:
    (here / own.file).write_text(own.code + "# changed\n")
    said = predict(own, own.given)
    assert said.code == 3 and own.file in said.err and "differ" in said.err
    assert not is_executed(here, own)


@every_kind
def test_a_missing_file_is_named(here: Path, own: Own) -> None:
    (here / own.file).unlink()
    said = predict(own, own.given)
    assert said.code == 3 and own.file in said.err


@every_kind
def test_a_run_given_as_source_does_not_execute_the_code_it_names(here: Path, own: Own) -> None:
    """A run from someone else is data: repeating or resuming it requires the file to be named."""
    said = bertune("train", "run", "--out", "again")
    assert not is_executed(here, own)
    assert said.code == 3 and f"{own.setting}=" in said.err and own.file in said.err
    bertune("train", "run", own.given, "--out", "again").fine()


@every_kind
def test_python_asks_for_the_file_again_too(here: Path, own: Own) -> None:
    from bertune import api
    from bertune.errors import BertuneError

    with pytest.raises(BertuneError, match=own.file):
        api.predict("run", own.data)
    assert not is_executed(here, own)
    assert len(api.predict("run", own.data, settings={own.setting: own.file})) == 20


def test_predicting_texts_needs_no_reader(trained: Callable[[Own], Path]) -> None:
    """Only files are read by a reader; lines and lists are predicted without it."""
    run = trained(KINDS["reader"]) / "run"
    assert len(bertune("predict", run, "-", stdin="great phone\n").fine().lines) == 1


@pytest.mark.parametrize(
    ("code", "setting", "parts"),
    [
        ("X = 1\n", "task.name", ["mine.py", "TASK"]),
        ("X = 1\n", "model.head", ["mine.py", "HEAD"]),
        ("X = 1\n", "data.reader", ["mine.py", "read"]),
        ("read = 3\n", "data.reader", ["mine.py", "read(path, options)"]),
        ("def read(path, options):\n    yield {'text': 'a'}\n", "data.reader", ["mine.py", "Row", "dict"]),
        ("HEAD = lambda *sizes: sizes\n", "model.head", ["mine.py", "Module"]),
        ("HEAD = 3\n", "model.head", ["mine.py", "HEAD"]),
        ("TASK = 3\n", "task.name", ["mine.py", "TASK"]),
    ],
)
def test_a_file_without_the_expected_name_is_an_error(
    code: str,
    setting: str,
    parts: list[str],
    tiny_weights: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(code)
    write_csv(tmp_path / "a.csv", reviews(20))
    said = bertune("train", "a.csv", f"model.name={tiny_weights}", *QUICK, f"{setting}=mine.py")
    assert said.code == 3
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"a.csv", "mine.py"}
    for part in parts:
        assert part in said.err


@pytest.mark.parametrize("kind", registry.KINDS)
def test_an_unknown_name_is_an_error_that_lists_all_names(kind: str) -> None:
    known = registry.names(kind)
    assert known and not [name for name in known if name.startswith("_")]
    with pytest.raises(ConfigError) as caught:
        registry.load(kind, known[0] + "x")
    assert f'Did you mean "{known[0]}"?' in str(caught.value)


@pytest.mark.parametrize("kind", registry.KINDS)
def test_every_built_in_name_can_be_loaded(kind: str) -> None:
    for name in registry.names(kind):
        assert registry.load(kind, name).__doc__


@pytest.mark.parametrize("kind", registry.KINDS)
def test_a_missing_file_is_named_with_its_folder(kind: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        registry.load(kind, str(tmp_path / "nowhere" / "mine.py"))


def test_two_files_with_the_same_name_are_separate_modules(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.py").write_text(f"HERE = {folder!r}\n")
    loaded = [registry.load("head", str(tmp_path / folder / "mine.py")) for folder in ("a", "b")]
    assert [registry.exported(module, "HERE") for module in loaded] == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x = 1\ndef broken(:\n", "line 2: cannot import the task file: SyntaxError"),
        (
            "x = 1\nimport there_is_no_such_module\n",
            "line 2: cannot import the task file: ModuleNotFoundError",
        ),
    ],
)
def test_a_file_that_fails_is_named_with_its_line(content: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(content)
    said = bertune("tasks", tmp_path / "mine.py")
    assert said.code == 3 and "Traceback" not in said.err
    assert f"mine.py, {message}" in " ".join(said.err.split())
