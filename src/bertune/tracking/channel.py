"""Calls a tracker in a background thread, so that its errors and delays do not affect training."""

import threading
import time
from collections.abc import Callable
from multiprocessing.pool import AsyncResult, ThreadPool
from typing import Any

from bertune.tracking.tracker import Results, Row, Status, TrackedRun, Tracker

_POLL_SECONDS = 0.5
# Seconds to wait at the end of training for a tracker that has not opened the run and is unreachable.
_UNOPENED_SECONDS = 30.0
# … and for a call of one that has, such as the upload of a model.
_OPEN_SECONDS = 600.0
# Seconds to wait if training was interrupted.
_INTERRUPTED_SECONDS = 10.0


class Channel:
    """A tracker and the thread that calls it. After the first error, the tracker is not called again."""

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name = name
        self._tracker = tracker
        self._lock = threading.Lock()
        self._rows: list[Row] = []
        self._messages: list[tuple[bool, str]] = []  # whether it is a warning, and the text
        self._is_open = False  # whether the current run was opened
        self._is_dead = False
        self._has_failed = False  # a call raised an exception; written by the thread of the tracker
        self._calls = 0  # that have ended
        # Its worker is a daemon thread: a tracker that waits for a server does not keep the process alive.
        self._pool = ThreadPool(1)

    def messages(self) -> list[tuple[bool, str]]:
        """Notes and at most one warning since the last call, as (whether it is a warning, text)."""
        with self._lock:
            found, self._messages = self._messages, []
        return found

    def start(self, run: TrackedRun) -> None:
        """Open a run."""
        self._is_open = False
        self._submit(self._opened, run)

    def log(self, row: Row) -> None:
        """Log a row. Rows that arrive while the tracker is busy are logged together."""
        with self._lock:
            self._rows.append(row)
            is_first = len(self._rows) == 1
        if is_first:
            self._submit(self._flush)

    def finish(self, results: Results, status: Status) -> bool:
        """Close the run, and wait until the tracker has done so or does not respond.

        Returns whether everything was logged.
        """
        last = self._submit(self._tracker.finish, results, status)
        waited, calls, seen = 0.0, self._calls, time.monotonic()
        while last is not None and not last.ready() and not self._is_dead:
            last.wait(_POLL_SECONDS)
            if self._calls != calls:
                calls, seen = self._calls, time.monotonic()
            patience = _OPEN_SECONDS if self._is_open else _UNOPENED_SECONDS
            waited = time.monotonic() - seen
            if waited > (patience if status == "complete" else _INTERRUPTED_SECONDS):
                self._fail(f"no response for {waited:.0f} seconds")
        return not self._is_dead

    def close(self) -> None:
        """End the thread after its last call, without waiting."""
        self._pool.close()

    def _submit(self, call: Callable[..., None], *arguments: Any) -> "AsyncResult[None] | None":
        if self._is_dead:
            return None
        return self._pool.apply_async(
            self._unless_dead, (call, *arguments), callback=self._ended, error_callback=self._failed
        )

    def _unless_dead(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._is_dead or self._has_failed:
            return
        # Set here and not in `_failed`, which runs in another thread, while the next call may already begin.
        self._has_failed = True
        call(*arguments)
        self._has_failed = False

    def _opened(self, run: TrackedRun) -> None:
        place = self._tracker.start(run)
        self._is_open = True
        with self._lock:
            self._messages.append((False, f"{self.name}: {place}"))

    def _flush(self) -> None:
        with self._lock:
            rows, self._rows = self._rows, []
        self._tracker.log(rows)

    def _ended(self, result: None) -> None:
        self._calls += 1

    def _failed(self, error: BaseException) -> None:
        kind = type(error).__name__
        self._fail(f"{kind}: {' '.join(str(error).split())[:400]}".rstrip(": "))

    def _fail(self, reason: str) -> None:
        if self._is_dead:
            return
        self._is_dead = True
        with self._lock:
            self._rows = []
            self._messages.append(
                (
                    True,
                    f"{self.name} failed and will not log anything more; training is not affected. "
                    f"{reason.rstrip('.')}. {self._tracker.advice}. Resuming the run with --resume, even "
                    "if it is complete, logs it from the first step",
                )
            )
