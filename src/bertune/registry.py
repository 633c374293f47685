"""Owns how a name becomes code: a file or folder of ours, an installed entry point, or a file the user names.

The name of the file or folder is its registration. Configuration holds names only, never code.
"""

import hashlib
import importlib
import importlib.metadata
import importlib.util
import os
import pkgutil
import sys
import traceback
from functools import cache
from pathlib import Path
from types import ModuleType

from bertune.errors import ConfigError, did_you_mean, listed
from bertune.renamed import TASKS

KINDS = {
    "task": "bertune.tasks",
    "reader": "bertune.data.readers",
    "head": "bertune.nn.heads",
    "dataset": "bertune.data.named",
}

_SHARED = {"task": {"encoder", "head_spec", "optional", "parts"}}  # what all of a kind are made of
_SETTINGS = {
    "task": ", task.name=my_task.py",
    "reader": ", data.reader=my_reader.py",
    "head": ", model.head=my_head.py",
    "dataset": "",
}


def names(kind: str) -> list[str]:
    """Every name of a kind that needs no path: built in, then installed."""
    package = importlib.import_module(KINDS[kind])
    modules = pkgutil.iter_modules(package.__path__)
    built_in = [m.name for m in modules if not m.name.startswith("_") and m.name not in _SHARED.get(kind, ())]
    return built_in + sorted(_installed(kind).names)


@cache  # it reads what every installed package says of itself
def _installed(kind: str) -> importlib.metadata.EntryPoints:
    return importlib.metadata.entry_points(group=KINDS[kind])


def load(kind: str, name: str) -> ModuleType:
    """The module that a name or a `.py` path stands for. Raises ConfigError with the names there are."""
    if name.endswith(".py"):
        return _load_file(kind, Path(name))
    known = names(kind)
    if name not in known:
        near = did_you_mean(name, known)
        if kind == "task" and TASKS.get(name) in known:
            near = f' Did you mean "{TASKS[name]}"?'
        raise ConfigError(
            f'there is no {kind} "{name}".{near}'
            f" There are: {listed(known)}; or give a file of your own{_SETTINGS[kind]}"
        )
    for entry in _installed(kind).select(name=name):
        module = entry.load()
        assert isinstance(module, ModuleType), f"entry point {name} must name a module"
        return module
    return importlib.import_module(f"{KINDS[kind]}.{name}")


def exported(module: ModuleType, name: str) -> object:
    """What a registered file exports under the agreed name. Raises ConfigError when it does not."""
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(f"{module.__file__} must define {name}; it does not") from None


def _load_file(kind: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"the {kind} file {path} does not exist (looked in {path.absolute().parent})")
    # The same file is the same module, so that its classes stay themselves; a changed one is another.
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the {kind} file {path}: {error.strerror}") from error
    digest = hashlib.sha256(os.fsencode(path.absolute()) + b"\0" + content).hexdigest()
    name = f"bertune_user_{kind}_{path.stem}_{digest[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while the file is executed
    is_whole = False
    try:
        spec.loader.exec_module(module)
        is_whole = True
    except (SyntaxError, ImportError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        if isinstance(error, SyntaxError) and error.filename == str(path):
            lines.append(error.lineno)
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        raise ConfigError(f"{place}: the {kind} file fails: {type(error).__name__}: {error}") from error
    finally:
        if not is_whole:
            del sys.modules[name]
    return module
