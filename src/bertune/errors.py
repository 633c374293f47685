"""Every error a user can meet, and the exit code the command gives for it.

    BertuneError                 1  anything bertune itself refuses
    ├── InputError               3  what was given cannot be used: it says what was seen, where, what to do
    │   ├── DataError            3  a data file, a row, a label
    │   ├── ConfigError          3  a setting that does not exist or cannot be
    │   ├── ModelError           3  a model that cannot be found or read
    │   ├── NonFiniteError       3  a model's outputs are NaN or infinite
    │   └── DamagedError         3  a file of a run is not as bertune wrote it
    ├── RunExistsError           1  the run folder is there already
    ├── RunBusyError             3  another process is writing the run folder
    ├── DivergedError            1  the loss is no longer a number
    ├── ResourceError            4  out of disk space or memory
    └── Interrupted            130  stopped by a signal after the state was saved

Usage errors of the command line (an unknown verb or flag) exit with 2.
"""

import difflib
from collections.abc import Iterable, Sequence


class BertuneError(Exception):
    """A problem that bertune understands; its text is written for the user."""

    exit_code = 1


class InputError(BertuneError):
    """Something the user gave cannot be used."""

    exit_code = 3


class DataError(InputError):
    """A data file, a row or a label cannot be used."""


class ConfigError(InputError):
    """A setting does not exist or has an impossible value."""


class ModelError(InputError):
    """A pretrained model or a run's model cannot be found or read."""


class NonFiniteError(InputError):
    """The outputs of a model are NaN or infinite."""


class DamagedError(InputError):
    """A file that bertune wrote has other content now."""


class RunExistsError(BertuneError):
    """The run folder exists; nothing in it was touched."""


class RunBusyError(InputError):
    """Another process is writing the run folder."""


class DivergedError(BertuneError):
    """The training loss became NaN or infinite."""


class ResourceError(BertuneError):
    """The disk is full or memory is used up; what was saved before is whole."""

    exit_code = 4


class Interrupted(BertuneError):
    """Training was stopped by a signal after its state was saved."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`' Did you mean "x"?'` for the nearest known word, or an empty string."""
    names = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), names, n=1)
    return f' Did you mean "{names[near[0]]}"?' if near else ""


def listed(names: Sequence[object], most: int = 12) -> str:
    """Names joined for an error text, shortened after `most`."""
    shown = ", ".join(str(n) for n in names[:most])
    return shown if len(names) <= most else f"{shown} … ({len(names)} in all)"
