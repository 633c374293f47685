"""Owns the packages that only comparisons need: the extra `bench`."""

import importlib.util
import sys


def missing(*modules: str) -> str | None:
    """What to say where one of these is not installed; None where all are."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if not absent:
        return None
    return f"not installed, but needed to compare: {', '.join(absent)}. Do: pip install 'bertune[bench]'"


def need(*modules: str) -> None:
    """Ends a contestant with one message where one of these is not installed."""
    problem = missing(*modules)
    if problem:
        sys.exit(problem)
