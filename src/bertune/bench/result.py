"""The output of a contestant: one line of JSON, including the peak memory of its process."""

import json
import resource
import sys
from pathlib import Path
from typing import Any


def write_result(result: dict[str, Any]) -> None:
    """Prints one JSON line to stdout, with this process's peak memory added."""
    sys.stdout.write(json.dumps({**result, "peak_rss_mb": peak_rss_mb()}) + "\n")
    sys.stdout.flush()


def peak_rss_mb() -> float:
    """The peak resident memory of this program, in MB of 2**20 bytes.

    Uses /proc/self/status if available, because getrusage also counts the process before exec.
    """
    status = Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return round(int(line.split()[1]) / 2**10, 1)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
