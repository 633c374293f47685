"""File jobs: whole files are labelled in the background, while requests are answered.

A file is read and written by `Model.predict_file`, in a separate thread. Its sequences wait in the queue of
the model like those of requests, a few at a time. All files lie in a private temporary folder, which is
removed when the service ends.
"""

import asyncio
import logging
import secrets
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from bertune.data.rows import Row
from bertune.errors import BertuneError
from bertune.predict.model import Model
from bertune.predict.results import WrittenPredictions
from bertune.serve.batcher import Batcher
from bertune.serve.logs import LOGGER, described, event
from bertune.serve.queued import QueuedBackend
from bertune.serve.refusals import NotFound, Overloaded, Refusal

_LOG = logging.getLogger(LOGGER)
MOST_JOBS = 4  # that may be uploaded or computed at the same time
KEPT_SECONDS = 1800  # for which the result of a job can be downloaded
_RETRY_SECONDS = 10.0  # after which a client may try again if there are too many jobs

State = Literal["waiting", "reading", "running", "done", "failed", "cancelled"]
_UNFINISHED = ("waiting", "reading", "running")


class NotReady(Refusal):
    """The result of a job does not exist yet, or will never exist (409)."""

    status = 409
    kind = "not_ready"


class _Cancelled(Exception):
    """The job was cancelled."""


@dataclass(eq=False)
class Job:
    """A file that is labelled, with its progress, as `Model.predict_file` reports it."""

    id: str
    model: str
    folder: Path  # used by this job only
    file: str = ""  # name of the uploaded file
    result: str = ""  # name of the labelled file
    state: State = "waiting"
    rows: int = 0  # predicted so far
    total: int | None = None  # None until the rows are counted
    error: str | None = None
    notes: list[str] = field(default_factory=list)  # what was inferred about the columns of the file
    written: WrittenPredictions | None = None
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def inbox(self) -> Path:
        """The folder of the uploaded file."""
        return self.folder / "in"

    @property
    def source(self) -> Path:
        """The uploaded file."""
        return self.inbox / self.file

    @property
    def target(self) -> Path:
        """The labelled file."""
        return self.folder / "out" / self.result

    @property
    def is_finished(self) -> bool:
        """Whether the job is done, failed or cancelled."""
        return self.state not in _UNFINISHED

    def poll(self) -> None:
        """Raise an exception if the job was cancelled."""
        if self.stop.is_set():
            raise _Cancelled

    def watch(self, rows: Iterator[Row]) -> Iterator[Row]:
        """The same rows, until the job is cancelled."""
        for row in rows:
            self.poll()
            yield row

    def expect(self, rows: int) -> None:
        """Set the number of rows of the file."""
        self.total, self.state = rows, "running"

    def advance(self, rows: int) -> None:
        """Set the number of rows that were read and predicted, or cannot be predicted."""
        self.rows = rows

    def add(self, examples: int) -> None:
        """Count further predicted examples."""
        most = self.rows + examples if self.total is None else self.total
        self.rows = min(self.rows + examples, most)

    def plain(self) -> dict[str, Any]:
        """The state of the job as plain JSON."""
        written = self.written
        return {
            "id": self.id,
            "model": self.model,
            "file": self.file,
            "state": self.state,
            "rows": self.rows,
            "total": self.total,
            "error": self.error,
            "notes": self.notes,
            "result": self.result if self.state == "done" else None,
            "blank": written.blank if written else 0,
            "failed": written.failed if written else 0,
            "truncated": written.truncated if written else 0,
            "failures": [self.public(text) for text in written.failures] if written else [],
        }

    def public(self, message: str) -> str:
        """A message without the path of the temporary folder."""
        for path in (self.source, self.target):
            message = message.replace(str(path), path.name).replace(str(path.parent), "the folder")
        return message


class FileJobs:
    """The file jobs of a service."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self.folder: Path | None = None  # shared by all jobs; created for the first one
        self._pool = ThreadPoolExecutor(MOST_JOBS, thread_name_prefix="bertune-file")

    def reserve(self, model: str) -> Job:
        """A new job with empty folders for its files. Raises Overloaded if there are too many."""
        if sum(not job.is_finished for job in self._jobs.values()) >= MOST_JOBS:
            raise Overloaded(
                f"{MOST_JOBS} files are already being labelled. Try again when one of them is finished",
                _RETRY_SECONDS,
            )
        if self.folder is None:
            self.folder = Path(tempfile.mkdtemp(prefix="bertune-serve-"))  # only its owner can read it
        number = secrets.token_urlsafe(16)  # cannot be guessed, so that users do not see each other's files
        job = Job(number, model, self.folder / number)
        for name in ("in", "out"):
            (job.folder / name).mkdir(parents=True)
        self._jobs[number] = job
        return job

    def start(
        self,
        job: Job,
        model: Model,
        batcher: Batcher,
        reading: Mapping[str, Any],
        on_rows: Callable[[int], None] = lambda rows: None,
    ) -> None:
        """Label the uploaded file of a job; `reading` are settings of [data]. Called in the event loop.

        `on_rows` is called with the number of rows at the end. Raises ConfigError for invalid settings.
        """
        loop = asyncio.get_running_loop()
        queued = QueuedBackend(model.backend, batcher, loop, job.poll, job.add)
        future = self._pool.submit(self._label, job, model.with_backend(queued, reading), on_rows)
        future.add_done_callback(partial(self._finish, job, loop))

    def find(self, number: str) -> Job:
        """The job with an ID. Raises NotFound."""
        job = self._jobs.get(number)
        if job is None:
            raise NotFound(f"there is no such job. Results are removed after {KEPT_SECONDS // 60} minutes")
        return job

    def remove(self, number: str) -> None:
        """Cancel a job if it is not finished, and remove its files."""
        job = self._jobs.pop(number, None)
        if job is not None:
            job.stop.set()
            shutil.rmtree(job.folder, ignore_errors=True)

    def close(self) -> None:
        """Cancel all jobs and remove all files."""
        for job in self._jobs.values():
            job.stop.set()
        self._pool.shutdown(cancel_futures=True)
        for number in list(self._jobs):
            self.remove(number)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _label(self, job: Job, model: Model, on_rows: Callable[[int], None]) -> None:
        job.poll()
        job.state = "reading"
        written = model.predict_file(
            job.source, job.target, on_note=lambda note: job.notes.append(job.public(note)), progress=job
        )
        job.rows = written.rows
        job.written = written
        on_rows(written.rows)

    def _finish(self, job: Job, loop: asyncio.AbstractEventLoop, future: Future[None]) -> None:
        """Set the final state of a job. Called in its thread."""
        error = None if future.cancelled() else future.exception()
        # Cancelling removes the folder, which the thread may notice before the flag.
        is_cancelled = future.cancelled() or isinstance(error, _Cancelled) or job.stop.is_set()
        if isinstance(error, BertuneError):
            job.error = job.public(str(error))
        elif error is not None and not is_cancelled:
            job.error = "internal error; see the log of the service"
            event(_LOG, logging.ERROR, "file job failed", model=job.model, **described(error))
        job.state = "cancelled" if is_cancelled else "failed" if error else "done"
        event(_LOG, logging.INFO, "file job", model=job.model, state=job.state, rows=job.rows)
        if not loop.is_closed():
            loop.call_soon_threadsafe(loop.call_later, KEPT_SECONDS, self.remove, job.id)
