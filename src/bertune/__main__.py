"""`python -m bertune` is the same as `bertune`."""

from bertune.cli import main

main()
