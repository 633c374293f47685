"""The `bertune` command: subcommands, exit codes and error messages."""

import contextlib
import errno
import gc
import importlib.metadata
import sys
from collections.abc import Iterator
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from bertune.cli import (
    bench,
    check,
    compare,
    cross_validate,
    datasets,
    decide,
    evaluate,
    export,
    predict,
    report,
    serve,
    streams,
    tasks,
    train,
    tune,
    verify,
)
from bertune.cli.stdin import kept_from_libraries
from bertune.errors import BertuneError, Interrupted

HELP = """Fine-tune BERT-like encoders on your own texts, evaluate them, and use them for prediction.

\b
  bertune train reviews.csv model.name=minilm     fine-tune a model and write a run folder
  bertune predict runs/reviews new.csv            predict new texts

Pass settings as key=value after the arguments: train.epochs=4 data.text=review data.label=stars.
Messages go to stderr, results to stdout. Exit codes: 0 success, 1 the run folder exists, a package is
missing or training diverged, 2 usage error, 3 invalid input, 4 out of disk space or memory, 5 a quality
gate failed, 130 interrupted.
"""


class _Commands(TyperGroup):
    """The commands. Typer itself would exit without a message if one of them is interrupted."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            raise Interrupted from error


app = typer.Typer(
    cls=_Commands,
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(is_set: bool) -> None:
    if is_set:
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
app.command("check", short_help="Audit the data before training.")(check.check)
app.command("cross-validate", short_help="Train and evaluate a model for every fold.")(
    cross_validate.cross_validate
)
app.command("tune")(tune.tune)
app.command("evaluate", short_help="Evaluate a trained model on labelled data.")(evaluate.evaluate)
app.command("decide", short_help="Calibrate a model, and decide what needs review.")(decide.decide)
app.command("predict")(predict.predict)
app.command("compare", short_help="Compare runs on the same test rows.")(compare.compare)
app.command("report", short_help="Write the report of a run again, or compare runs.")(report.report)
app.command("export", short_help="Export a model, and compare the export with it.")(export.export)
app.command("verify", short_help="Verify that an export reproduces the trained model.")(verify.verify)
app.command("serve")(serve.serve)
app.command("tasks", short_help="List the tasks, or describe one.")(tasks.tasks)
app.command("datasets", short_help="List the named data sets and recipes, or describe one.")(
    datasets.datasets
)
app.command("bench", short_help="Compare speed and memory with Hugging Face on your data.")(bench.bench)


def main() -> None:
    """Entry point of `bertune`."""
    streams.prepare()
    try:
        with exit_on_error(), kept_from_libraries():
            _run()
    finally:
        streams.abandon_unwritable()
        gc.freeze()  # the interpreter would look for garbage among all objects once more: 0.25 s with torch


def _run() -> None:
    """Run the command and flush its results. Raises SystemExit with the exit code, and OSError."""
    try:
        app()
    except SystemExit:
        sys.stdout.flush()
        raise


@contextlib.contextmanager
def exit_on_error() -> Iterator[None]:
    """Turn every expected error into one message on stderr and an exit code, without a traceback."""
    try:
        yield
    except BertuneError as error:
        _say(": ".join(part for part in (_kind(error), str(error)) if part))
        sys.exit(error.exit_code)
    except MemoryError:
        _exit_out_of_memory()
    except BrokenPipeError:
        # The program that reads our output, such as head, has exited.
        streams.discard_output()
        sys.exit(1)
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except (ImportError, OSError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            _leave_full_output(error)
        if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
            _say(f"error: {str(error.filename)[:60]!r}… is too long for a path. Use a shorter path")
            sys.exit(3)
        if isinstance(error, OSError) and error.filename is None and error.errno in (errno.EBADF, errno.EIO):
            _leave_unwritable_output(error)
        # The dynamic loader reports these errors if the memory limit is too low to map a shared library.
        if not any(sign in str(error) for sign in ("failed to map segment", "annot allocate memory")):
            raise
        _exit_out_of_memory()


def _leave_full_output(error: OSError) -> NoReturn:
    """Exit because standard output is full; errors of other files are reported where they occur."""
    _say(
        f"error: cannot write all results to standard output ({error.strerror}). Free some space, or "
        "write to another disk"
    )
    streams.discard_output()  # otherwise the same error occurs again at exit
    sys.exit(4)


def _leave_unwritable_output(error: OSError) -> NoReturn:
    """Exit because standard output is, for example, read-only or a closed terminal."""
    _say(f"error: cannot write to standard output ({error.strerror}). Redirect it, for instance with > FILE")
    streams.discard_output()
    sys.exit(3)


def _exit_out_of_memory() -> None:
    _say(
        "error: out of memory. Free some memory, raise the limit (ulimit -v), or use a smaller file, a "
        "smaller model or, for training, a lower machine.micro_batch_tokens"
    )
    sys.exit(4)


def _say(message: str) -> None:
    # stderr may be a file on the full disk; the exit code then still reports the error.
    with contextlib.suppress(OSError):
        print(message, file=sys.stderr, flush=True)


def _kind(error: BertuneError) -> str:
    return "interrupted" if error.exit_code == 130 else "error"
