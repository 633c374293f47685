"""Structured logs without texts: one JSON object per line, or key=value pairs in a terminal."""

import datetime
import json
import logging
import sys
import traceback
from types import TracebackType
from typing import Any, TextIO

LOGGER = "bertune.serve"
ACCESS = "bertune.serve.access"  # one event per request
_LEVELS = {logging.WARNING: "warning", logging.ERROR: "error", logging.CRITICAL: "error"}

_JSON = json.JSONEncoder(ensure_ascii=False, default=str)


def event(
    logger: logging.Logger, level: int, name: str, *, created: float | None = None, **facts: Any
) -> None:
    """Log an event with facts, none of which may contain a text of a request.

    `created` is its time in seconds since 1970; by default, now.
    """
    if logger.isEnabledFor(level):
        # Without the search for the place of the call, which would take as long as the rest of the logging.
        record = logging.LogRecord(logger.name, level, "", 0, name, (), None)
        record.facts = facts
        record.created = record.created if created is None else created
        logger.handle(record)


class Logged:
    """Logs an error of a block without its message, and continues after the block."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        if isinstance(error, Exception):
            event(self._logger, logging.ERROR, "unexpected error", **described(error))
        return isinstance(error, Exception)


class JsonLines(logging.Formatter):
    """A record as a JSON object with time, level, event, and the facts of the event."""

    def format(self, record: logging.LogRecord) -> str:
        return _JSON.encode(_content(record))


class KeyValues(logging.Formatter):
    """A record as a readable line."""

    def format(self, record: logging.LogRecord) -> str:
        content = _content(record)
        start = f"{content.pop('time')[11:19]} {content.pop('level')} {content.pop('event')}"
        return " ".join([start, *(f"{key}={_word(value)}" for key, value in content.items())])


def configure(stream: TextIO = sys.stderr) -> None:
    """Write the logs of the service, and warnings of uvicorn, to a stream. Only the command calls this."""
    # No record shows its process or thread, and finding them out takes as long as writing the record.
    logging.logProcesses = logging.logMultiprocessing = logging.logThreads = False
    if sys.version_info >= (3, 12):
        logging.logAsyncioTasks = False
    handler = logging.StreamHandler(stream)
    handler.setFormatter(KeyValues() if stream.isatty() else JsonLines())
    for name, level in ((LOGGER, logging.INFO), ("uvicorn", logging.WARNING), ("bertune", logging.WARNING)):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(level)
        logger.propagate = False


def _content(record: logging.LogRecord) -> dict[str, Any]:
    time = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
    content = {
        "time": time.isoformat(timespec="milliseconds"),
        "level": _LEVELS.get(record.levelno, "info"),
        "event": record.getMessage().strip(),
        **getattr(record, "facts", {}),
    }
    if record.exc_info and record.exc_info[1] is not None:
        content |= described(record.exc_info[1])
    return content


def described(error: BaseException) -> dict[str, Any]:
    """An unexpected error as facts: its class and where it was raised.

    Its message is left out, because it may quote a text.
    """
    frames = traceback.extract_tb(error.__traceback__)
    return {
        "error": type(error).__name__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-8:]],
    }


def _word(value: Any) -> str:
    text = value if isinstance(value, str) else _JSON.encode(value)
    return json.dumps(text, ensure_ascii=False) if " " in text or not text.isprintable() else text
