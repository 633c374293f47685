"""Runs `bertune` commands and functions of the library in an interpreter in which packages are missing.

Started by test_missing_packages.py as a process of its own, with a JSON object in its standard input.
"""

import importlib.abc
import io
import json
import sys
from collections.abc import Callable, Sequence
from typing import Any


class Absent(importlib.abc.MetaPathFinder):
    """Packages that cannot be imported, as if they were not installed."""

    def __init__(self, packages: Sequence[str]) -> None:
        self.packages = frozenset(packages)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self.packages:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def ended(arguments: Sequence[str], stdin: str) -> dict[str, Any]:
    """Exit code, standard output and standard error of a command."""
    from bertune.cli import main

    pipes = [io.BytesIO(stdin.encode()), io.BytesIO(), io.BytesIO()]
    before = sys.argv, sys.stdin, sys.stdout, sys.stderr
    sys.argv = ["bertune", *arguments]
    sys.stdin, sys.stdout, sys.stderr = (io.TextIOWrapper(pipe, encoding="utf-8") for pipe in pipes)
    written = sys.stdout, sys.stderr
    code: Any = 0
    try:
        main()
    except SystemExit as exit_:
        code = exit_.code or 0
    except ImportError as error:
        code = f"a traceback: {error}"
    finally:
        for stream in written:
            stream.flush()
        sys.argv, sys.stdin, sys.stdout, sys.stderr = before
    return {"code": code, "out": pipes[1].getvalue().decode(), "err": pipes[2].getvalue().decode()}


def library_calls(given: dict[str, Any]) -> dict[str, Callable[[], Any]]:
    """The calls of the library by name, with what is needed for them."""
    import bertune as bt

    texts = given["texts"]
    return {
        "labels": lambda: [p.label for p in bt.load(given["classifier"]).predict(texts)],
        "predict_proba": lambda: bt.load(given["classifier"]).predict_proba(texts).tolist(),
        "encode": lambda: bt.load(given["embedder"]).encode(texts).tolist(),
        "train": lambda: bt.train(texts, labels=["a", "b"] * 20),
        "load": lambda: bt.load(given["run"]),
        "report": lambda: bt.report(given["run"]),
        "export": lambda: bt.export(given["run"]),
    }


def outcome(call: Callable[[], Any]) -> dict[str, Any]:
    """The result of a call, or the error of bertune that it raised."""
    from bertune.errors import BertuneError

    try:
        return {"value": call()}
    except BertuneError as error:
        return {"error": type(error).__name__, "message": str(error)}


def main() -> None:
    given = json.load(sys.stdin)
    sys.meta_path.insert(0, Absent(given["absent"]))
    commands = {name: ended(words, given["stdin"]) for name, words in given["commands"].items()}
    calls = {name: outcome(call) for name, call in library_calls(given).items()}
    json.dump({"commands": commands, "calls": calls, "loaded": sorted(sys.modules)}, sys.stdout)


if __name__ == "__main__":
    main()
