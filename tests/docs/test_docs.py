"""Tests of the documentation: generated blocks are up to date, nothing is missing, and the commands run."""

import importlib.util
import json
import re
import shlex
import sys
from pathlib import Path
from types import ModuleType

import pytest

from bertune.config import TaskConfig
from bertune.data import named
from bertune.settings import known_keys
from bertune.tasks import FittedTask, Task, make_task
from bertune.tasks.optional import OptionalFittedMembers, OptionalTaskMembers
from test_architecture import LAYERS, python_files
from tiny import QUICK, bertune, process, reviews, write_csv

ROOT = Path(__file__).parents[2]
READMES = ("README.md", "README.zh-CN.md")
DOCUMENTS = (*READMES, "CONTRIBUTING.md", *(f"docs/{path.name}" for path in sorted(ROOT.glob("docs/*.md"))))

MARKED = re.compile(r"^<!-- (run|not run: [^>]+) -->\n```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = re.compile(r"^```(?:bash|python)$", re.MULTILINE)
SETTING = re.compile(r"(?<![\w./-])((?:data|model|task|train|optimizer|machine|track)\.[a-z_]\w*)=")
TASK = re.compile(r"bertune\s+tasks\s+([a-z]\w+)`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)[^)]*\)")

# Options of built-in and example tasks, and misspelled keys in documented error messages.
OTHER_KEYS = {
    "task.columns", "task.levels", "task.long_texts", "task.loss", "task.positive_label", "task.q",
    "task.class_weights", "task.invalid_examples", "task.label_format", "task.names", "task.relevant",
    "task.scheme", "task.sentence",
    "train.epoch",
}  # fmt: skip

# Appended to the settings of a documented command, because later settings take precedence.
SMALL = (*QUICK, "train.max_examples=80", "model.max_length=64")


def read(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """The script docs/generate.py, imported as a module."""
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_blocks_are_up_to_date(generate: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert generate.main(["--check"]) == 0, capsys.readouterr().err


def test_every_generated_block_is_used_in_a_document(generate: ModuleType) -> None:
    text = "".join(read(document) for document in DOCUMENTS)
    assert set(re.findall(r"<!-- generated: ([^>]+) -->", text)) == set(generate.BLOCKS)


def test_an_outdated_block_is_detected_and_updated(
    generate: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- generated: readers -->\nold\n<!-- end -->\nafter\n", encoding="utf-8")
    monkeypatch.setattr(generate, "DOCS", tmp_path)
    assert generate.main(["--check"]) == 1
    assert "page.md" in capsys.readouterr().err
    assert "old" in page.read_text(encoding="utf-8")
    assert generate.main([]) == 0
    assert "| `jsonl` |" in page.read_text(encoding="utf-8")
    assert generate.main(["--check"]) == 0


def test_every_command_has_a_section_with_its_help(generate: ModuleType) -> None:
    usage = read("docs/usage.md")
    assert generate.commands()
    for command in generate.commands():
        assert f"## bertune {command}\n" in usage
        assert f"$ bertune {command} --help\n" in usage


def test_every_setting_is_in_the_table() -> None:
    usage = read("docs/usage.md")
    for key in known_keys():
        assert f"\n| `{key}` |" in usage, key


def test_every_setting_used_in_a_document_exists() -> None:
    for document in DOCUMENTS:
        used = set(SETTING.findall(read(document)))
        assert used <= {*known_keys(), *OTHER_KEYS}, document


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_task_named_in_a_document_exists(document: str) -> None:
    for name in TASK.findall(read(document)):
        assert make_task(TaskConfig(name=name)), name


def test_every_named_data_set_and_recipe_is_documented() -> None:
    listed, recipes = read("docs/usage.md"), read("docs/recipes.md")
    for name in named.names():
        assert f"\n| `{name}` |" in listed or f"\n## {name}\n" in recipes, name


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_points_to_a_file(document: str) -> None:
    for target in LINK.findall(read(document)):
        assert ((ROOT / document).parent / target).exists(), target


@pytest.mark.parametrize("document", READMES)
def test_every_command_in_a_readme_is_run_or_marked_with_a_reason(document: str) -> None:
    text = read(document)
    assert len(RUNNABLE.findall(text)) == len(MARKED.findall(text))


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder with the files used in the documented commands."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    write_csv(tmp_path / "reviews.csv", reviews(40))
    write_csv(tmp_path / "labelled.csv", reviews(20, seed=1))
    write_csv(tmp_path / "new.csv", [(text,) for text, _ in reviews(5, seed=2)], header="text")
    pairs = [(number % 2, f"第{number}句", f"第{number}句话") for number in range(8)]
    write_csv(tmp_path / "pairs.csv", pairs, header=None)
    news: list[dict[str, object]] = [
        {"news": f"第{number}家公司{('亏损', '盈利')[number % 2]}", "label": number % 2}
        for number in range(40)
    ]
    for name, rows in (("train_set", news), ("dev_set", news[:10]), ("test_set", news[10:20])):
        write_lines(tmp_path / f"{name}.jsonl", rows)
    write_lines(tmp_path / "new.jsonl", [{"news": row["news"]} for row in news[:5]])
    return tmp_path


def write_lines(path: Path, rows: list[dict[str, object]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


@pytest.mark.parametrize("document", [name for name in DOCUMENTS if "<!-- run -->" in read(name)])
def test_the_marked_blocks_of_a_document_run_in_order(
    document: str, shop: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(shop)
    for mark, language, block in MARKED.findall(read(document)):
        if mark != "run":
            continue
        if language == "python":
            code = block.replace('"minilm"', repr(str(tiny_folder)))
            exec(compile(code, document, "exec"), {"__name__": "__main__"})
        else:
            for line in block.splitlines():
                run_line(line, shop, tiny_folder)


def run_line(line: str, folder: Path, encoder: Path) -> None:
    """Run a line of a bash block: `bertune` in this process with small settings, anything else unchanged."""
    before, _, command = line.rpartition(" | ")
    stdin = process("bash", "-c", before, cwd=folder).fine().out if before else ""
    program, *words = shlex.split(command)
    if program == "python":
        process(sys.executable, *words, cwd=folder).fine()
        return
    assert program == "bertune", f"the tests cannot run {program}"
    small = (f"model.name={encoder}", *SMALL) if words[0] == "train" else ()
    bertune(*words, *small, stdin=stdin).fine()


FROM_FILE = re.compile(r"^<!-- from: (\S+) -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_code_quoted_from_a_file_matches_the_file() -> None:
    quotes = [(name, code) for document in DOCUMENTS for name, code in FROM_FILE.findall(read(document))]
    assert len(quotes) >= 4
    for name, code in quotes:
        assert code in read(name), code


def public_members(owner: type) -> set[str]:
    return {name for name in {*vars(owner), *vars(owner).get("__annotations__", {})} if name[0] != "_"}


def test_exactly_the_members_of_a_task_are_documented() -> None:
    section = read("docs/extending.md").split("\n## A task\n")[1].split("\n### ")[0]
    required, *optional = re.split(r"^Members of ", section, flags=re.MULTILINE)
    cells = [
        {
            name
            for line in part.splitlines()
            if line.startswith("|")
            for name in re.findall(r"`(\w+)(?:\([^`]*\))?`", line.split("|")[2])
        }
        for part in (required, *optional)
    ]
    # Set by the base classes; authors of a task do not define them.
    inherited = {
        "options", "fitted", "task", "labels", "notes",
        "calibration", "calibrated", "rule", "decided", "prediction_fields",
    }  # fmt: skip
    assert cells[0] == (public_members(Task) | public_members(FittedTask)) - inherited
    assert len(cells[0]) <= 15
    assert cells[1] == public_members(OptionalTaskMembers)
    assert cells[2] == public_members(OptionalFittedMembers)


ARCHITECTURE = "docs/architecture.md"


def section_of(title: str) -> str:
    return read(ARCHITECTURE).split(f"\n## {title}\n")[1].split("\n## ")[0]


def test_the_layers_are_described_in_their_order() -> None:
    rows = [
        line.split("|")[1] for line in section_of("Layers, lowest first").splitlines() if line[:3] == "| `"
    ]
    assert [name for row in rows for name in re.findall(r"`(\w+)/?`", row)] == list(LAYERS)


def test_every_file_named_in_the_architecture_exists() -> None:
    """A name without a folder is a file of the package that the paragraph describes."""
    folders = ("src", "tests", "benchmarks", "examples", "docs")
    there = [path.relative_to(ROOT).as_posix() for path in python_files(*folders)]
    named = {name for name in re.findall(r"`([\w./]+\.py)`", read(ARCHITECTURE)) if "NAME" not in name}
    assert len(named) > 80
    missing = {name for name in named if not any(f"/{path}".endswith(f"/{name}") for path in there)}
    assert not missing


def test_every_folder_named_in_the_architecture_exists() -> None:
    prose = read(ARCHITECTURE).split("\n## The run folder\n")[0]
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_]+)*)/`", prose)) - {"model", "refit"}  # of a run folder
    assert len(named) > 15
    assert not {
        name for name in named if not any((at / name).is_dir() for at in (ROOT, ROOT / "src/bertune"))
    }


def test_the_optional_members_of_tasks_are_used_where_the_architecture_says() -> None:
    rows = [line.split("|")[1:3] for line in section_of("A task is one folder").splitlines()]
    checked = 0
    for members, files in (row for row in rows if len(row) == 2 and row[0][:2] == " `"):
        if ".py" in members:  # the table of the files of a task
            continue
        places = [ROOT / "src/bertune" / name for name in re.findall(r"`([\w./]+)`", files)]
        paths = [path if path.exists() else ROOT / path.relative_to(ROOT / "src/bertune") for path in places]
        texts = [
            "\n".join(file.read_text("utf-8") for file in ([path] if path.is_file() else path.rglob("*.py")))
            for path in paths
        ]
        names = re.findall(r"`(\w+)`", members)
        missing = [name for name in names if not any(re.search(rf"\b{name}\b", text) for text in texts)]
        assert not missing, f"{members}: {missing} not in {files}"
        for path, text in zip(paths, texts, strict=True):
            assert any(re.search(rf"\b{name}\b", text) for name in names), (
                f"{path.name} uses none of {members}"
            )
        checked += len(names)
    assert checked > 40
