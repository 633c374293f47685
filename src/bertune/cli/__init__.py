"""The command: one file per verb, each a thin shell around a public function."""

from bertune.cli.app import main

__all__ = ["main"]
