"""The dependencies in pyproject.toml are what the code imports, and each extra is what the messages name."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bertune.errors import MissingPackageError
from bertune.optional_packages import PACKAGES, needs, require

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "bertune"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Where a package is not imported by its own name.
IMPORTED_AS = {"scikit_learn": "sklearn", "pillow": "PIL", "mlflow_skinny": "mlflow"}
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(\[(?P<extras>[\w,]+)\])?[^;]*(?P<marker>;.*)?")


def packages(requirements: list[str]) -> set[str]:
    """The names under which required packages are imported, without those of some platforms only."""
    found = [REQUIREMENT.fullmatch(text) for text in requirements]
    names = [m["name"].lower().replace("-", "_") for m in found if m and not m["marker"]]
    return {IMPORTED_AS.get(name, name) for name in names} - {"bertune"}


def imports(path: Path) -> Iterator[str]:
    """The packages that a file imports, inside functions too, but not those that only name types."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    types = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    skipped = {id(inner) for node in types for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


def test_every_import_is_declared() -> None:
    declared = packages(PROJECT["dependencies"]) | {p for extra in PACKAGES.values() for p in extra}
    used = {name: path for path in sorted(SOURCE.rglob("*.py")) for name in imports(path)}
    undeclared = used.keys() - declared - sys.stdlib_module_names - {"bertune"}
    assert not undeclared, {name: used[name] for name in undeclared}


def test_every_dependency_is_imported() -> None:
    used = {name for path in SOURCE.rglob("*.py") for name in imports(path)}
    assert packages(PROJECT["dependencies"]) <= used


@pytest.mark.parametrize("extra", sorted(PROJECT["optional-dependencies"].keys() - {"all", "dev"}))
def test_the_packages_of_an_extra_are_known(extra: str) -> None:
    assert packages(PROJECT["optional-dependencies"][extra]) == set(PACKAGES[extra])


def test_the_extra_all_includes_every_other() -> None:
    extras = PROJECT["optional-dependencies"]

    def included(extra: str) -> set[str]:
        inner = [
            m["extras"].split(",") for r in extras[extra] if (m := REQUIREMENT.fullmatch(r)) and m["extras"]
        ]
        return {extra}.union(*(included(name) for names in inner for name in names))

    assert included("all") == extras.keys() - {"dev"}


def test_a_missing_package_is_named_with_what_to_do() -> None:
    with pytest.raises(MissingPackageError) as raised, needs("pyarrow", "to read a.parquet", "Or use CSV"):
        raise ModuleNotFoundError("No module named 'pyarrow.lib'", name="pyarrow.lib")
    assert str(raised.value) == (
        "pyarrow is needed to read a.parquet, but is not installed. "
        "Install it with: pip install 'bertune[parquet]'. Or use CSV"
    )


def test_a_missing_module_of_the_user_is_not_turned_into_advice() -> None:
    with pytest.raises(ModuleNotFoundError), needs("torch", "to use a run"):
        raise ModuleNotFoundError("No module named 'my_words'", name="my_words")


def test_all_missing_packages_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for package in ("onnx", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        MissingPackageError, match=r"^onnx and onnxscript are needed to export, .*\[export\]'$"
    ):
        require("export", "to export")


def test_the_runtime_starts_with_core_packages_only() -> None:
    """Nothing that `bertune predict EXPORT` imports is slow or belongs to another extra."""
    code = (
        "import sys, bertune.api, bertune.console.show, bertune.predict.onnx_backend, bertune.cli\n"
        "print(*{n.partition('.')[0] for n in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    others = {p for extra in PACKAGES for p in PACKAGES[extra]} | {"scipy", "pandas"}
    assert not others & set(done.stdout.split())
