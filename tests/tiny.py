"""Small data for tests of the command and the library, and `bertune` as a function."""

import io
import json
import os
import random
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

GOOD = ("great", "lovely", "sturdy", "bright")
BAD = ("broken", "dull", "slow", "noisy")
PLAIN = ("the", "phone", "lamp", "and", "it", "was", "table")
# Few texts and a tiny encoder: the tests check what is written, not what is learned.
QUICK = (
    "train.epochs=1",
    "train.baselines=false",
    "train.explain=false",
    "train.batch_size=16",
    "train.lr=0.003",
    "machine.threads=1",
)
BIN = Path(sys.executable).parent / "bertune"


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Standard output as JSON Lines."""
        return [json.loads(line) for line in self.out.splitlines()]

    def fine(self) -> "Result":
        """Asserts that the command succeeded, and returns the result."""
        assert self.code == 0, self.err
        return self


def bertune(*arguments: object, stdin: str | bytes = "") -> Result:
    """`bertune ARGUMENTS` in this process, through its real entry point."""
    from bertune.cli.app import main

    raw = stdin.encode() if isinstance(stdin, str) else stdin
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", newline="") for _ in range(2))
    with (
        mock.patch.object(sys, "argv", ["bertune", *map(str, arguments)]),
        mock.patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(raw), encoding="utf-8")),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
    ):
        try:
            main()
            code = 0
        except SystemExit as exit_:
            code = exit_.code if isinstance(exit_.code, int) else int(exit_.code is not None)
    return Result(code, _written(out), _written(err))


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    assert isinstance(stream.buffer, io.BytesIO)
    return stream.buffer.getvalue().decode()


def process(*command: object, cwd: Path, env: Mapping[str, str] | None = None, stdin: str = "") -> Result:
    """Runs a command in a separate process."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd, input=stdin.encode(), capture_output=True, timeout=300, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", **(env or {})},
    )  # fmt: skip
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def reviews(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Distinct texts labelled good and bad in turn; one word of each text determines the label."""
    draw = random.Random(seed)
    found = []
    for number in range(count):
        label, telling = (("good", GOOD), ("bad", BAD))[number % 2]
        words = [draw.choice(telling), *draw.choices(PLAIN, k=draw.randint(1, 8))]
        draw.shuffle(words)
        found.append((f"{' '.join(words)} number {number}", label))
    return found


def write_csv(path: Path, rows: Iterable[Iterable[object]], header: str | None = "text,label") -> Path:
    """Writes a CSV file of cells that need no quotes."""
    lines = [header] if header else []
    path.write_text("\n".join([*lines, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def contents(folder: Path) -> dict[str, bytes]:
    """The content of every file in a folder, including hidden ones; empty for subfolders."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
    }
