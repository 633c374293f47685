"""Reads random data files, intact and damaged, as bertune does, and reports faults.

    python benchmarks/fuzz.py --rows 100000 --seed 1
    python benchmarks/fuzz.py --seconds 600 --save findings

A finding is an exception other than a BertuneError, a file that takes more than 10 s, or an intact file whose
rows are not read as they were written. Exits with status 1 if there are findings.
"""

import argparse
import gzip
import io
import math
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

from fuzz_damage import damaged
from fuzz_files import MAKERS, DataFile

from bertune import registry
from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import Columns, choose_columns
from bertune.data.tables import Table, open_lines, open_table
from bertune.errors import BertuneError
from bertune.tasks import Task, make_task

_LIMIT = 10.0  # seconds per file
_SHARE_WHOLE = 0.15  # fraction of the files that stay intact
_PARSED = 50  # rows per file that each task parses
_TRIES = 200  # attempts to shrink the file of a finding


class TooSlow(BaseException):
    """Reading a file exceeded the time limit. Not an Exception, so that no error handler catches it."""


@dataclass
class Counts:
    """Counts of files, rows and findings."""

    files: int = 0
    whole: int = 0
    rows: int = 0
    refused: int = 0
    tracebacks: int = 0
    hangs: int = 0
    changed: int = 0
    slowest: float = 0.0
    slowest_file: str = ""
    formats: Counter[str] = field(default_factory=Counter)
    findings: list[str] = field(default_factory=list)

    @property
    def num_findings(self) -> int:
        return self.tracebacks + self.hangs + self.changed

    def __str__(self) -> str:
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024  # KiB on Linux
        formats = ", ".join(f"{name} {count:,}" for name, count in sorted(self.formats.items()))
        return (
            f"files: {self.files:,} ({self.whole:,} intact), {self.refused:,} refused; {formats}\n"
            f"rows: {self.rows:,}\ntracebacks: {self.tracebacks}\nhangs: {self.hangs}\n"
            f"rows dropped or changed silently: {self.changed}\n"
            f"slowest file: {self.slowest:.2f} s ({self.slowest_file})\nmax memory: {memory:,} MiB"
        )


class Caught:
    """Context manager that captures any exception except KeyboardInterrupt and SystemExit."""

    error: BaseException | None = None
    where: str = ""

    def __enter__(self) -> "Caught":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None
    ) -> bool:
        if isinstance(error, KeyboardInterrupt | SystemExit):
            return False
        self.error = error
        if tb is not None:
            last = traceback.extract_tb(tb)[-1]
            ours = [frame for frame in traceback.extract_tb(tb) if "bertune" in frame.filename]
            place = ours[-1] if ours else last
            self.where = f"{Path(place.filename).name}:{place.lineno}"
        return True

    @property
    def is_finding(self) -> bool:
        return self.error is not None and not isinstance(self.error, BertuneError)

    @property
    def key(self) -> str:
        return f"{type(self.error).__name__} at {self.where}"


class Reader:
    """Reads a file and parses its rows with every task."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tasks: list[Task] = [make_task(TaskConfig(name=name)) for name in registry.names("task")]
        self._names = {
            name
            for task in self._tasks
            for group in (*task.columns.text, task.columns.label)
            for name in group
        }

    def read(self, name: str, content: bytes, options: dict[str, Any]) -> tuple[list[dict[str, Any]], bool]:
        """The rows of a file, and whether bertune refused all or part of it. Faults propagate."""
        path = self._folder / name
        path.write_bytes(content)
        settings = DataConfig.model_validate(options)
        rows: list[dict[str, Any]] = []
        try:
            table = open_table(path, settings, self._names)
            read = list(table.rows())
            rows = [dict(row.values) for row in read]
        except BertuneError:
            return rows, True
        # In bertune each task reads the file again; here that would repeat most of the work.
        return rows, self._parse(replace(table, rows=lambda: iter(read)), settings)

    def read_stream(self, content: bytes) -> tuple[list[dict[str, Any]], bool]:
        """As `read`, from standard input."""
        stream = io.TextIOWrapper(io.BytesIO(content), encoding="utf-8")
        rows: list[dict[str, Any]] = []
        try:
            for row in open_lines(stream, "<stdin>", ("text",)).rows():
                rows.append(dict(row.values))
        except BertuneError:
            return rows, True
        return rows, False

    def _parse(self, table: Table, settings: DataConfig) -> bool:
        is_refused = False
        for task in self._tasks:
            for columns in _columns(table, settings, task):
                for row in islice(table.rows(), _PARSED):
                    try:
                        if not task.is_blank(row, columns):
                            task.parse(row, columns)
                    except BertuneError:
                        is_refused = True
        return is_refused


def _columns(table: Table, settings: DataConfig, task: Task) -> Iterator[Columns]:
    """The columns that a task would choose, or arbitrary ones, so that every task sees every file."""
    try:
        yield choose_columns(table, settings, task.columns, task.needs_label)[0]
    except BertuneError:
        names = table.columns
        fitting = [number for number in task.columns.num_texts if number <= len(names)]
        if fitting:
            yield Columns(names[: fitting[0]], names[-1], None)
            yield Columns(names[-fitting[-1] :], None, None)


def same(written: Any, read: Any) -> bool:
    """Whether a value was read as written; NaN equals NaN."""
    if isinstance(written, dict) and isinstance(read, dict):
        return written.keys() == read.keys() and all(same(written[key], read[key]) for key in written)
    if isinstance(written, list) and isinstance(read, list):
        return len(written) == len(read) and all(map(same, written, read))
    if isinstance(written, float) and isinstance(read, float) and math.isnan(written):
        return math.isnan(read)
    return type(written) is type(read) and bool(written == read)


def limited(seconds: float, work: Callable[[], Any]) -> Any:
    """The result of a call. Raises TooSlow if it takes longer than `seconds`."""

    def stop(number: int, frame: object) -> None:
        raise TooSlow

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Fuzzer:
    """Generates files from a seed, reads them and counts findings."""

    def __init__(self, seed: int, folder: Path, save: Path | None = None, shows: bool = False) -> None:
        self.counts = Counts()
        self._draw = random.Random(seed)
        self._reader = Reader(folder)
        self._save = save
        self._shows = shows
        self._seen: Counter[str] = Counter()

    def run(self, rows: int | None, seconds: float | None) -> Counts:
        """Reads files until a number of rows was read or a time has passed."""
        begin = time.monotonic()
        while (rows is None or self.counts.rows < rows) and (
            seconds is None or time.monotonic() - begin < seconds
        ):
            self.one()
            if self._shows and self.counts.files % 2000 == 0:
                print(f"-- after {time.monotonic() - begin:,.0f} s\n{self.counts}", flush=True)
        return self.counts

    def one(self) -> None:
        """Generates and reads one file."""
        draw = self._draw
        file = draw.choice(MAKERS)(draw, draw.choice([1, 2, 5, 12, 40, 150]))
        is_whole = draw.random() < _SHARE_WHOLE
        content = file.content if is_whole else damaged(file, draw)
        name = file.name
        if draw.random() < 0.25:
            name, content = f"{name}.gz", gzip.compress(content, 1)
            if not is_whole and draw.random() < 0.3:
                at = draw.randrange(len(content))
                content = content[:at] + (
                    b"" if draw.random() < 0.5 else bytes([draw.randrange(256)]) + content[at + 1 :]
                )
        is_stream = file.options == {} and not name.endswith(".gz") and draw.random() < 0.2
        read = self._stream_reader() if is_stream else self._file_reader(name, file.options)
        self.counts.files += 1
        self.counts.whole += is_whole
        self.counts.formats[file.format] += 1
        begin = time.monotonic()
        with Caught() as caught:
            found, is_refused = limited(_LIMIT, lambda: read(content))
            self.counts.rows += len(found)
            self.counts.refused += is_refused
        spent = time.monotonic() - begin
        if spent > self.counts.slowest:
            self.counts.slowest, self.counts.slowest_file = spent, f"{file.format}, file {self.counts.files}"
        if isinstance(caught.error, TooSlow):
            self.counts.hangs += 1
            self._report("hang", f"hang in {name}", name, content)
        elif caught.is_finding:
            self.counts.tracebacks += 1
            if self._seen[caught.key] < 3:
                content = smaller(content, caught.key, read)
            self._report(caught.key, f"{caught.key}: {caught.error!r:.200}", name, content)
        elif is_whole and caught.error is None and (not is_stream or file.is_lines):
            self._compare(file, name, content, found)

    def _file_reader(self, name: str, options: dict[str, Any]) -> Callable[[bytes], Any]:
        return lambda content: self._reader.read(name, content, options)

    def _stream_reader(self) -> Callable[[bytes], Any]:
        return self._reader.read_stream

    def _compare(self, file: DataFile, name: str, content: bytes, found: list[dict[str, Any]]) -> None:
        if same(file.rows, found):
            return
        self.counts.changed += 1
        at = next(
            (i for i, (one, other) in enumerate(zip(file.rows, found, strict=False)) if not same(one, other)),
            -1,
        )
        seen = f"row {at}: {file.rows[at]!r:.200} became {found[at]!r:.200}" if at >= 0 else ""
        what = f"{len(file.rows)} rows written, {len(found)} read. {seen}"
        self._report(f"changed {file.format}", f"{name} ({file.format}): {what}", name, content)

    def _report(self, key: str, text: str, name: str, content: bytes) -> None:
        self._seen[key] += 1
        if self._seen[key] > 3:
            return
        self.counts.findings.append(f"{text}\n  {name}: {content[:300]!r}")
        if self._shows:
            print("FINDING", self.counts.findings[-1], flush=True)
        if self._save is not None:
            self._save.mkdir(parents=True, exist_ok=True)
            (self._save / f"{self.counts.files}-{name}").write_bytes(content)


def smaller(content: bytes, key: str, read: Callable[[bytes], Any]) -> bytes:
    """Shrinks the content by removing pieces while it still causes the same error."""
    size, tries = len(content) // 2, 0
    while size and tries < _TRIES:
        start = 0
        while start < len(content) and tries < _TRIES:
            tries += 1
            candidate = content[:start] + content[start + size :]
            with Caught() as caught:
                limited(_LIMIT, partial(read, candidate))
            if caught.is_finding and caught.key == key:
                content = candidate
            else:
                start += size
        size //= 2
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, help="stop after this many rows")
    parser.add_argument("--seconds", type=float, help="stop after this time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for the files that caused findings")
    given = parser.parse_args()
    if given.rows is None and given.seconds is None:
        parser.error("--rows, --seconds or both are required")
    with tempfile.TemporaryDirectory() as folder:
        counts = Fuzzer(given.seed, Path(folder), given.save, shows=True).run(given.rows, given.seconds)
    print(f"seed: {given.seed}\n{counts}")
    sys.exit(1 if counts.num_findings else 0)


if __name__ == "__main__":
    main()
