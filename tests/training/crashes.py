"""Kills a process before its n-th access to the run folder, limits its file sizes, or sends two signals."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TOUCHING = {"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree", "tempfile.mkdtemp"}


@dataclass(frozen=True)
class DieBeforeTouch:
    """Call to install: kills the process before its n-th operation on anything in `folder`.

    The temporary folder in which a run is built counts as part of it.
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
    """Call to install: limits the size of files to `size` bytes, as on a full disk."""

    size: int

    def __call__(self) -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size, self.size))


@dataclass(frozen=True)
class AskedTwice:
    """Call to install: raises two signals during the first evaluation."""

    def __call__(self) -> None:
        from bertune.predict import torch_backend

        original = torch_backend.micro_batches

        def impatient(*arguments: Any) -> Any:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            return original(*arguments)

        torch_backend.micro_batches = impatient
