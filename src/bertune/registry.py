"""Resolves names to modules: built-in files and folders, installed entry points, and files of the user.

A built-in module is registered by its file or folder name. Settings hold names, never code.
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
from bertune.files import shown_path
from bertune.renamed import TASKS

KINDS = {
    "task": "bertune.tasks",
    "reader": "bertune.data.readers",
    "head": "bertune.nn.heads",
    "dataset": "bertune.data.named",
    "tracker": "bertune.tracking.trackers",
}

# Modules shared by all members of a kind.
_SHARED = {"task": {"encoder", "explained", "form", "head_spec", "optional", "parts"}}
_OWN_FILE = {
    "task": ", or your own file: task.name=my_task.py",
    "reader": ", or your own file: data.reader=my_reader.py",
    "head": ", or your own file: model.head=my_head.py",
    "dataset": "",
    "tracker": ", or your own file: track.to=my_tracker.py",
}


def names(kind: str) -> list[str]:
    """The names of a kind, built-in ones first, then installed ones."""
    built_in = _built_in(kind)
    return [*built_in, *sorted(_installed(kind).names - set(built_in))]


def _built_in(kind: str) -> list[str]:
    found = _modules(tuple(importlib.import_module(KINDS[kind]).__path__))
    return [name for name in found if not name.startswith("_") and name not in _SHARED.get(kind, ())]


@cache  # lists the files of folders, and is asked dozens of times in a run
def _modules(folders: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(module.name for module in pkgutil.iter_modules(folders))


@cache  # scans the metadata of every installed package
def _installed(kind: str) -> importlib.metadata.EntryPoints:
    return importlib.metadata.entry_points(group=KINDS[kind])


def load(kind: str, name: str) -> ModuleType:
    """The module for a name or a `.py` path. Raises ConfigError, listing the known names."""
    if name.endswith(".py"):
        return _load_file(kind, Path(name))
    if name in _built_in(kind):  # without scanning the installed packages, which takes 20 ms
        return importlib.import_module(f"{KINDS[kind]}.{name}")
    known = names(kind)
    if name not in known:
        near = did_you_mean(name, known)
        if kind == "task" and TASKS.get(name) in known:
            near = f' Did you mean "{TASKS[name]}"?'
        raise ConfigError(f'unknown {kind} "{name}".{near} Use one of {listed(known)}{_OWN_FILE[kind]}')
    module = next(iter(_installed(kind).select(name=name))).load()
    assert isinstance(module, ModuleType), f"entry point {name} must name a module"
    return module


def exported(module: ModuleType, name: str) -> object:
    """The object that a registered module exports as `name`. Raises ConfigError if it is missing."""
    try:
        return getattr(module, name)
    except AttributeError:
        raise ConfigError(
            f"{module.__file__} does not define {name}. Define it at the top level of this file"
        ) from None


def _load_file(kind: str, path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(
            f"the {kind} file {shown_path(path)} does not exist (searched in {path.absolute().parent}). "
            "Correct the path"
        )
    # An unchanged file gives the same module, so that its classes keep their identity.
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(
            f"cannot read the {kind} file {path}: {error.strerror}. Check its permissions"
        ) from error
    digest = hashlib.sha256(os.fsencode(path.absolute()) + b"\0" + content).hexdigest()
    name = f"bertune_user_{kind}_{path.stem}_{digest[:12]}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look up their module while it executes
    is_complete = False
    try:
        spec.loader.exec_module(module)
        is_complete = True
    except (SyntaxError, ImportError) as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(path)]
        if isinstance(error, SyntaxError) and error.filename == str(path):
            lines.append(error.lineno)
        place = f"{path}, line {lines[-1]}" if lines else str(path)
        raise ConfigError(
            f"{place}: cannot import the {kind} file: {type(error).__name__}: {error}"
        ) from error
    finally:
        if not is_complete:
            del sys.modules[name]
    return module
