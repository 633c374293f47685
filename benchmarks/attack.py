"""Tests bertune's robustness: kills training runs, damages their files, reads malformed data. Works offline.

    python benchmarks/attack.py                                all three attacks
    python benchmarks/attack.py kills --number 200 --seed 1
    python benchmarks/attack.py damage --number 100 --seed 1
    python benchmarks/attack.py fuzz --number 100000 --seed 1

Prints counts while running and exits with status 1 if anything failed. The seed determines what is attacked
and where; the exact moment of a kill that is delayed by milliseconds also depends on the machine.
"""

import argparse
import sys
import tempfile
from pathlib import Path

_NUMBERS = {"kills": 200, "damage": 100, "fuzz": 100_000}


def main() -> int:
    """Runs the selected attacks and returns the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("attack", nargs="?", choices=list(_NUMBERS), help="default: all, one after another")
    parser.add_argument("--number", type=int, help="runs to kill, files to damage, or rows to generate")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--folder", type=Path, help="keep the runs here; default: a temporary folder")
    given = parser.parse_args()
    failures: list[str] = []
    for name in [given.attack] if given.attack else _NUMBERS:
        with tempfile.TemporaryDirectory() as temporary:
            folder = (given.folder or Path(temporary)).resolve() / name
            failures += _attack(name, given.number or _NUMBERS[name], given.seed, folder)
    print(f"{len(failures)} failed")
    return 1 if failures else 0


def _attack(name: str, number: int, seed: int, folder: Path) -> list[str]:
    """Runs one attack; returns one line per failure."""
    if name == "kills":
        import attack_kills

        return attack_kills.run(number, seed, folder)
    if name == "damage":
        import attack_damage

        return attack_damage.run(number, seed, folder)
    return _fuzz(number, seed, folder)


def _fuzz(rows: int, seed: int, folder: Path) -> list[str]:
    try:
        from fuzz import Fuzzer
    except ImportError as error:
        if error.name != "fuzz":
            raise
        message = f"this attack requires benchmarks/fuzz.py with a class Fuzzer: {error}"
        print(message, file=sys.stderr)
        return [message]
    folder.mkdir(parents=True)
    counts = Fuzzer(seed, folder, shows=True).run(rows, None)
    print(f"fuzz: seed {seed}\n{counts}")
    return [f"{counts.num_findings} findings"] if counts.num_findings else []


if __name__ == "__main__":
    sys.exit(main())
