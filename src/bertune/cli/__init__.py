"""The command line: one module per subcommand, each a thin wrapper around a public function."""

from bertune.cli.app import main

__all__ = ["main"]
