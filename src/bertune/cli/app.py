"""Owns the command line as a whole: its verbs, its exit codes, and how an error is said."""

import contextlib
import errno
import importlib.metadata
import io
import os
import sys
from collections.abc import Iterator
from typing import Annotated, NoReturn

import typer

from bertune.cli import bench, check, datasets, evaluate, predict, report, tasks, train
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
    _open_what_is_closed()
    _write_any_path()
    with exit_on_error(), kept_from_libraries():
        app()


def _open_what_is_closed() -> None:
    """The null device for each standard stream that the caller closed, as by `2>&-`.

    Otherwise the next file that is opened gets its number, and messages are written into that file.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _write_any_path() -> None:
    """Lets paths be printed that are not UTF-8: as their own bytes on stdout, escaped on stderr."""
    for stream, errors in ((sys.stdout, "surrogateescape"), (sys.stderr, "backslashreplace")):
        if isinstance(stream, io.TextIOWrapper):  # None where it is closed
            stream.reconfigure(errors=errors)


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """One message on stderr and the right exit code for every error a user can meet; no traceback."""
    try:
        yield
    except BertuneError as error:
        # On a full disk stderr may be a file that takes no more; the exit code must tell then.
        with contextlib.suppress(OSError):
            print(f"{_kind(error)}: {error}", file=sys.stderr, flush=True)
        sys.exit(error.exit_code)
    except MemoryError:
        _exit_out_of_memory()
    except BrokenPipeError:
        # The reader of our output, such as head, has gone; nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _leave_full_output(error)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            print(
                f"error: {str(error.filename)[:60]!r}… is too long for a path; give another", file=sys.stderr
            )
            sys.exit(3)
        # How the loader of shared libraries says that memory is limited too tightly to map them.
        if not any(sign in str(error) for sign in ("failed to map segment", "annot allocate memory")):
            raise
        _exit_out_of_memory()


def _leave_full_output(error: OSError) -> NoReturn:
    """Files of bertune's own say where they are; what is left is standard output."""
    with contextlib.suppress(OSError):
        print(
            f"error: cannot write all results to standard output ({error.strerror}). Free some space, or "
            "write to another disk",
            file=sys.stderr,
            flush=True,
        )
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else the same error comes at exit
    sys.exit(4)


def _exit_out_of_memory() -> None:
    with contextlib.suppress(OSError):
        print(
            "error: out of memory. Free some, raise the limit (ulimit -v), or give a smaller file, a smaller "
            "model or, in training, a lower machine.micro_batch_tokens",
            file=sys.stderr,
            flush=True,
        )
    sys.exit(4)


def _kind(error: BertuneError) -> str:
    return "interrupted" if error.exit_code == 130 else "error"
