"""Owns the command line as a whole: its verbs, its exit codes, and how an error is said."""

import contextlib
import errno
import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Annotated, NoReturn

import typer

from bertune.cli import bench, check, datasets, evaluate, predict, report, streams, tasks, train
from bertune.cli.stdin import kept_from_libraries
from bertune.errors import BertuneError

HELP = """Fine-tune a BERT-family encoder on your own texts, trust the result, and put it to work.

\b
  bertune train reviews.csv model.name=minilm     from a file of texts to a run folder with a model
  bertune predict runs/reviews new.csv            what the model says about other texts

Settings are written key=value after the arguments: train.epochs=4 data.text=review data.label=stars.
Messages go to stderr, results to stdout. Exit codes: 0 fine, 1 refused, 2 usage, 3 the input has a
problem, 4 disk or memory is used up, 130 interrupted.
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"bertune {importlib.metadata.version('bertune')}")
        raise typer.Exit


@app.callback(help=HELP)
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="print the version and exit")
    ] = False,
) -> None:
    pass


app.command("train")(train.train)
app.command("check")(check.check)
app.command("evaluate")(evaluate.evaluate)
app.command("predict")(predict.predict)
app.command("report")(report.report)
app.command("tasks")(tasks.tasks)
app.command("datasets")(datasets.datasets)
app.command("bench")(bench.bench)


def main() -> None:
    """Entry point of `bertune`."""
    streams.prepare()
    try:
        with exit_on_error(), kept_from_libraries():
            _run()
    finally:
        streams.abandon_unwritable()


def _run() -> None:
    """The command to its end, with all results written. Raises SystemExit with its exit code, OSError."""
    try:
        app()
    except SystemExit:
        sys.stdout.flush()
        raise


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """One message on stderr and the right exit code for every error a user can meet; no traceback."""
    try:
        yield
    except BertuneError as error:
        _say(f"{_kind(error)}: {error}")
        sys.exit(error.exit_code)
    except MemoryError:
        _exit_out_of_memory()
    except BrokenPipeError:
        # The reader of our output, such as head, has gone; nothing more can be said to it.
        streams.discard_output()
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _leave_full_output(error)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _say(f"error: {str(error.filename)[:60]!r}… is too long for a path; give another")
            sys.exit(3)
        if isinstance(error, OSError) and error.filename is None and error.errno in (errno.EBADF, errno.EIO):
            _leave_unwritable_output(error)
        # How the loader of shared libraries says that memory is limited too tightly to map them.
        if not any(sign in str(error) for sign in ("failed to map segment", "annot allocate memory")):
            raise
        _exit_out_of_memory()


def _leave_full_output(error: OSError) -> NoReturn:
    """Files of bertune's own say where they are; what is left is standard output."""
    _say(
        f"error: cannot write all results to standard output ({error.strerror}). Free some space, or "
        "write to another disk"
    )
    streams.discard_output()  # else the same error comes at exit
    sys.exit(4)


def _leave_unwritable_output(error: OSError) -> NoReturn:
    """As where standard output is open for reading only, or its terminal is gone."""
    _say(f"error: cannot write to standard output ({error.strerror}). Redirect it, for instance with > FILE")
    streams.discard_output()
    sys.exit(3)


def _exit_out_of_memory() -> None:
    _say(
        "error: out of memory. Free some, raise the limit (ulimit -v), or give a smaller file, a smaller "
        "model or, in training, a lower machine.micro_batch_tokens"
    )
    sys.exit(4)


def _say(message: str) -> None:
    # On a full disk stderr may be a file that takes no more; the exit code must tell then.
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def _kind(error: BertuneError) -> str:
    return "interrupted" if error.exit_code == 130 else "error"
