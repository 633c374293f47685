"""Processes that are killed before their n-th access to the run folder, or whose files cannot grow."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TOUCHING = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "tempfile.mkdtemp"}


@dataclass(frozen=True)
class DieBeforeTouch:
    """Install with `()`: kills the process before it touches anything in `folder` for the n-th time.

    What is put together beside the folder, under its name with dots around, counts as in it.
    """

    folder: Path
    number: int

    def __call__(self) -> None:
        left = self.number
        inside = str(self.folder), str(self.folder.with_name(f".{self.folder.name}."))

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in _TOUCHING and str(arguments[0]).startswith(inside):
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(hook)


@dataclass(frozen=True)
class LargestFile:
    """Install with `()`: no file may grow beyond so many bytes, as on a disk that is full."""

    size: int

    def __call__(self) -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


@dataclass(frozen=True)
class AskedTwice:
    """Install with `()`: two signals come within the first evaluation."""

    def __call__(self) -> None:
        from bertune.predict import torch_backend

        original = torch_backend.micro_batches

        def impatient(*arguments: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            return original(*arguments)

        torch_backend.micro_batches = impatient
