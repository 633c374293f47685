"""The command line: one module per subcommand, each a thin wrapper around a public function."""

import sys

__all__ = ["main"]


def main() -> None:
    """Entry point of `bertune`. Ctrl-C is handled from here on, also while the commands are imported."""
    try:
        from bertune.cli.app import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    run()
