"""Interrupts a training in a separate process at a given step."""

import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StopAtStep:
    """Call to install: the process receives SIGTERM when it records the n-th step of a run."""

    run: Path
    number: int

    def __call__(self) -> None:
        left = self.number
        metrics = str(self.run / "metrics.jsonl")

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event == "open" and str(arguments[0]) == metrics and arguments[1] == "a":
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGTERM)

        sys.addaudithook(hook)
