"""Checks for the packages of the extra `bench`, which only comparisons need."""

import importlib.util
import sys

_INSTALL = "Install them with: pip install 'bertune[bench]'"


def missing(*modules: str) -> str | None:
    """An error message if one of the modules is not installed, else None."""
    absent = [name for name in modules if importlib.util.find_spec(name) is None]
    if not absent:
        return None
    return f"comparisons require packages that are not installed: {', '.join(absent)}. {_INSTALL}"


def need(*modules: str) -> None:
    """Exits with an error message if one of the modules is not installed."""
    problem = missing(*modules)
    if problem:
        sys.exit(problem)
