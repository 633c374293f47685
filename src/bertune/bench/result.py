"""Owns what a contestant prints: one line of JSON, with the memory its process has held."""

import json
import resource
import sys
from pathlib import Path
from typing import Any


def write_result(result: dict[str, Any]) -> None:
    """One JSON line on stdout, with this process's own peak memory."""
    sys.stdout.write(json.dumps({**result, "peak_rss_mb": peak_rss_mb()}) + "\n")
    sys.stdout.flush()


def peak_rss_mb() -> float:
    """The most memory this program has held, in MB of 2**20 bytes.

    From the kernel's record of the program where there is one: getrusage also counts the process that
    started it.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 2**10, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
