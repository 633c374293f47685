"""The structure of the code: layers, sizes, names, cheap imports. Reads syntax trees; trains nothing."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

import pytest
from pydantic import BaseModel

from without_torch import BLOCKED

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bertune"

# Lowest first; a file imports only from its own layer and those before it.
LAYERS = (
    "errors", "allocator", "cores", "huge_pages", "files", "renamed", "optional_packages", "config",
    "settings", "registry", "record", "manifest", "metrics", "gates", "data", "metadata", "run",
    "cross_validation", "tuning", "run_writer", "hugging_face", "encoder_config", "text", "tasks", "audit",
    "custom_code", "nn", "losses", "task_info", "comparing", "source", "saved_model", "predict", "training",
    "search", "tracking", "reporting", "export", "serve", "bench", "console", "api",
    "estimators", "cli",
)  # fmt: skip
# The only files of tasks that may import torch.
LOSS = re.compile(r"bertune\.tasks\.\w+\.loss")
FACADE = ("__init__", "__main__")  # above all layers; no module imports them
REPORT_READS = {
    "reporting", "run", "run_writer", "cross_validation", "tuning", "manifest", "record", "files",
    "config", "errors",
}  # fmt: skip
BANNED_NAMES = {"utils", "util", "common", "helpers", "helper", "misc", "core", "lib", "stuff"}
MOST_LINES = 400

FLAGS = {
    "train": {"--out", "--resume", "--json"},
    "check": {"--json", "--out"},
    "cross-validate": {"--out", "--resume", "--json"},
    "tune": {"--out", "--resume", "--json"},
    "evaluate": {"--json", "--out"},
    "decide": {"--json"},
    "predict": {"--out", "--csv", "--json"},
    "compare": {"--out", "--score", "--json"},
    "report": {"--out"},
    "export": {"--to", "--out", "--json"},
    "verify": {"--json"},
    "serve": {"--host", "--port", "--fallback"},
    "tasks": {"--json"},
    "datasets": {"--json"},
    "bench": {"--rounds", "--seconds", "--json"},
}


def python_files(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def layer_of(module: str) -> str:
    """The layer of a dotted name such as bertune.nn.model; the facade for bertune itself."""
    if LOSS.fullmatch(module):
        return "losses"
    return module.split(".")[1] if "." in module else "__init__"


def nodes(root: ast.AST) -> Iterator[ast.AST]:
    """All nodes of a file except those under TYPE_CHECKING."""
    for node in ast.iter_child_nodes(root):
        if not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield node
            yield from nodes(node)


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Line and dotted name of every import of bertune in a file, including those inside functions."""
    for node in nodes(tree(path)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: a relative import hides its layer"
            is_top = node.module == "bertune"
            names = [f"bertune.{a.name}" for a in node.names] if is_top else [node.module or ""]
        else:
            continue
        yield from ((node.lineno, name) for name in names if name.split(".")[0] == "bertune")


def own_layer(path: Path) -> str:
    return layer_of(".".join(("bertune", *path.relative_to(SOURCE).with_suffix("").parts)))


def test_every_module_has_a_layer() -> None:
    there = {own_layer(path) for path in python_files("src")}
    assert there == {*LAYERS, *FACADE}, "a new module or package needs a place in LAYERS"


@pytest.mark.parametrize("path", python_files("src"), ids=lambda p: str(p.relative_to(SOURCE)))
def test_a_file_imports_only_from_lower_layers(path: Path) -> None:
    own = own_layer(path)
    if own in FACADE:
        return
    own_loss = f"bertune.tasks.{path.parent.name}.loss"  # which a task imports when its loss is computed
    upward = [
        f"line {line}: {name}"
        for line, name in imported(path)
        if layer_of(name) not in LAYERS[: LAYERS.index(own) + 1] and name != own_loss
    ]
    assert not upward, f"{own} is below {upward}"


# Pairs of files that import each other: a task and its loss, and a type that only an annotation needs.
CIRCLES = {
    ("bertune.tasks.embeddings.task", "bertune.tasks.embeddings.loss"),
    ("bertune.serve.service", "bertune.serve.explaining"),
}


def test_no_files_import_each_other_in_a_circle() -> None:
    """Neither at import, nor inside functions, nor for types."""
    modules = {
        ".".join(("bertune", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
        for path in python_files("src")
    }
    graph: dict[str, set[str]] = {}
    for module, path in modules.items():
        named = {
            full if (full := f"{node.module}.{alias.name}") in modules else node.module
            for node in ast.walk(tree(path))
            if isinstance(node, ast.ImportFrom) and node.module in modules
            for alias in node.names
        }
        graph[module] = {name for name in named if (module, name) not in CIRCLES}
    TopologicalSorter(graph).prepare()


def test_no_task_imports_another() -> None:
    folders = task_names()
    assert len(folders) == 9
    for folder in folders:
        for path in python_files(f"src/bertune/tasks/{folder}"):
            others = [name for _, name in imported(path) if re.match(r"bertune\.tasks\.(\w+)", name)]
            wrong = [name for name in others if name.split(".")[2] in folders - {folder}]
            assert not wrong, f"{path} imports {wrong}"


def test_layers_below_the_networks_work_without_torch_and_transformers() -> None:
    """Rows become examples, sequences, predictions and scores without either package."""
    modules = [
        ".".join(("bertune", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in python_files("src")
        if own_layer(path) in LAYERS[: LAYERS.index("nn")]
    ]
    code = f"{BLOCKED}import importlib\nfor name in {modules!r}: importlib.import_module(name)\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(modules) > 100


@pytest.mark.parametrize("path", python_files("src/bertune/reporting"), ids=lambda p: p.name)
def test_the_report_imports_neither_tasks_nor_models(path: Path) -> None:
    others = [name for _, name in imported(path) if layer_of(name) not in REPORT_READS]
    libraries = {
        name.split(".")[0]
        for node in ast.walk(tree(path))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert not others
    assert not libraries & {"torch", "transformers", "sklearn"}


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines())
        for path in python_files("src", "tests", "benchmarks", "examples")
    }
    assert not {name: n for name, n in lengths.items() if n > MOST_LINES}


def test_no_module_has_a_generic_name() -> None:
    for path in python_files("src", "tests", "benchmarks", "examples"):
        for part in path.relative_to(ROOT).with_suffix("").parts:
            name = part.strip("_").lower()
            assert name not in BANNED_NAMES, path
            assert not name.startswith("base"), path


def without(libraries: str, code: str) -> None:
    """Runs code in a new interpreter and fails if it imports one of the libraries."""
    seen = f"set({libraries.split()!r}) & set(sys.modules)"
    check = f"{code}\nimport sys\nassert not {seen}, {seen}"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


HEAVY = "torch transformers sklearn matplotlib pandas datasets"


def test_importing_bertune_is_cheap() -> None:
    without(HEAVY, "import bertune; dir(bertune)")


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["predict", "--help"], ["fly"]])
def test_help_and_usage_errors_are_cheap(arguments: list[str]) -> None:
    without(
        HEAVY,
        f"import sys; sys.argv = ['bertune', *{arguments!r}]\n"
        "from bertune.cli import main\n"
        "try: main()\n"
        "except SystemExit: pass",
    )


def task_names() -> set[str]:
    return {path.parent.name for path in (SOURCE / "tasks").glob("*/task.py")}


def compared_texts(module: ast.Module) -> Iterator[tuple[int, str]]:
    """Line and value of every string in a comparison or a match pattern."""
    for node in ast.walk(module):
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            operands = [node.value]
        else:
            continue
        for operand in operands:
            for inner in ast.walk(operand):
                if isinstance(inner, ast.Constant) and isinstance(inner.value, str):
                    yield inner.lineno, inner.value


def test_task_names_are_not_compared_outside_tasks() -> None:
    names = task_names()
    assert "classification" in names
    found = [
        f"{path.relative_to(SOURCE)}, line {line}: {text}"
        for path in python_files("src")
        if own_layer(path) != "tasks"
        for line, text in compared_texts(tree(path))
        if text in names
    ]
    assert not found


def test_comparisons_with_a_task_name_are_detected() -> None:
    seen = [text for _, text in compared_texts(ast.parse('if a.name in {"x", "y"}: pass\nb == "z"'))]
    assert seen == ["x", "y", "z"]


def test_every_except_clause_names_an_error() -> None:
    found = []
    for path in python_files("src", "tests", "benchmarks", "examples"):
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.ExceptHandler):
                continue
            caught = (
                [] if node.type is None else [n.id for n in ast.walk(node.type) if isinstance(n, ast.Name)]
            )
            if (not caught and not isinstance(node.type, ast.Attribute)) or (
                {
                    "Exception",
                    "BaseException",
                }
                & set(caught)
                and (path.name, {"Exception"}) != ("hugging_face.py", set(caught))
            ):
                # For untrusted files, Rust raises bare Exceptions and transformers raises anything.
                found.append(f"{path.relative_to(ROOT)}, line {node.lineno}")
    assert not found


def test_no_statement_is_repeated() -> None:
    """Two equal statements in a row are what a merge leaves behind; the second one only costs time."""
    found = []
    for path in python_files("src"):
        lines = path.read_text(encoding="utf-8").splitlines()
        for node in ast.walk(tree(path)):
            for name in ("body", "orelse", "finalbody"):
                block = getattr(node, name, None)
                for first, second in pairwise(block if isinstance(block, list) else []):
                    texts = [lines[s.lineno - 1 : s.end_lineno] for s in (first, second)]
                    if texts[0] == texts[1]:
                        found.append(f"{path.relative_to(ROOT)}, line {second.lineno}")
    assert not found


def test_there_is_one_backward_pass() -> None:
    files = {
        str(path.relative_to(SOURCE))
        for path in python_files("src")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Attribute) and node.attr == "backward"
    }
    assert files == {"training/loop.py"}


def test_the_library_does_not_print() -> None:
    found = [
        f"{path.relative_to(SOURCE)}, line {node.lineno}"
        for path in python_files("src")
        if own_layer(path) != "cli"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not found


def test_the_number_of_settings_is_limited() -> None:
    from bertune.config import AFTER_TRAINING, Config

    fields = {name: field.annotation for name, field in Config.model_fields.items()}
    sizes = {
        name: len(section.model_fields)
        for name, section in fields.items()
        if isinstance(section, type) and issubclass(section, BaseModel)
    }
    assert len(sizes) == len(fields), "a setting outside any section"
    assert max(sizes.values()) <= 23, sizes
    assert sum(size for name, size in sizes.items() if name not in AFTER_TRAINING) <= 64, sizes


def test_the_commands_and_their_flags_are_frozen() -> None:
    """A new flag needs a reason why it cannot be a setting; then change this set."""
    import typer

    from bertune.cli.app import app

    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    there = {
        verb: {flag for parameter in command.params for flag in parameter.opts if flag.startswith("-")}
        for verb, command in commands.items()
    }
    assert there == FLAGS
    assert max(len(flags) for flags in there.values()) <= 4
