"""The exceptions of bertune and the exit code of the command for each.

    BertuneError                 1  base class of all errors below
    ├── InputError               3  invalid input: the message says what is wrong, where, and what to do
    │   ├── DataError            3  an invalid data file, row or label
    │   ├── ConfigError          3  an unknown setting or an invalid value
    │   ├── ModelError           3  a model cannot be found or read
    │   ├── NonFiniteError       3  the outputs of a model are NaN or infinite
    │   ├── DamagedError         3  a file was damaged or changed after bertune wrote it
    │   └── RunBusyError         3  another process is writing to the run folder
    ├── MissingPackageError      1  an optional package is not installed
    ├── RunExistsError           1  the run folder already exists
    ├── DivergedError            1  the training loss became NaN or infinite
    ├── ResourceError            4  out of disk space or memory
    ├── GateError                5  a score misses its limit, or an export differs from its model
    └── Interrupted            130  stopped by a signal after the state was saved

Usage errors on the command line (an unknown command or option) exit with 2.
"""

import difflib
from collections.abc import Iterable, Sequence


class BertuneError(Exception):
    """Base class of the errors of bertune; the message is written for the user."""

    exit_code = 1


class InputError(BertuneError):
    """Invalid input from the user."""

    exit_code = 3


class DataError(InputError):
    """A data file, a row or a label is invalid."""


class ConfigError(InputError):
    """A setting does not exist or has an invalid value."""


class SettingsError(ConfigError):
    """One or more settings do not exist or have an invalid value. `problems` has (key, message) pairs."""

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(text for _, text in problems))
        self.problems = tuple(problems)


class ModelError(InputError):
    """A pretrained or trained model cannot be found or read."""


class NonFiniteError(InputError):
    """The outputs of a model are NaN or infinite."""


class DamagedError(InputError):
    """A file was damaged or changed after bertune wrote it."""


class MissingPackageError(BertuneError):
    """An optional package is not installed; the message says which extra installs it."""


class RunExistsError(BertuneError):
    """The run folder already exists. Nothing in it was changed."""


class RunBusyError(InputError):
    """Another process is writing to the run folder."""


class DivergedError(BertuneError):
    """The training loss became NaN or infinite."""


class ResourceError(BertuneError):
    """Out of disk space or memory. Everything saved before is intact."""

    exit_code = 4


class GateError(BertuneError):
    """A score misses its limit, or an export does not reproduce the results of the trained model."""

    exit_code = 5


class Interrupted(BertuneError):
    """Training was stopped by a signal after its state was saved."""

    exit_code = 130


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`' Did you mean "x"?'` with the closest known word, or an empty string."""
    names = {name.casefold(): name for name in known}
    near = difflib.get_close_matches(word.casefold(), names, n=1)
    return f' Did you mean "{names[near[0]]}"?' if near else ""


def plural(noun: str) -> str:
    """`texts`, `queries`, `batches`."""
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")


def counted(value: int, noun: str) -> str:
    """`1 text`, `8,551 texts`, `243 queries`."""
    return f"{value:,} {noun if value == 1 else plural(noun)}"


def all_have(number: int, noun: str) -> str:
    """`all 8 rows have`, or `the only row has`: subject and verb of a fact about every row."""
    return f"the only {noun} has" if number == 1 else f"all {counted(number, noun)} have"


def none_has(number: int, noun: str) -> str:
    """`none of the 8 rows has`, or `the only row does not have`."""
    return f"the only {noun} does not have" if number == 1 else f"none of the {counted(number, noun)} has"


def listed(names: Sequence[object], most: int = 12) -> str:
    """Names joined for an error message, truncated after `most`."""
    shown = ", ".join(str(n) for n in names[:most])
    return shown if len(names) <= most else f"{shown} … ({len(names)} in total)"
