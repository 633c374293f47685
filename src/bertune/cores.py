"""The CPU cores that this process may use."""

import math
import os
from pathlib import Path


def available_cores() -> int:
    """The number of cores that this process may use, by its affinity and the CPU quota of its container."""
    cores = len(allowed_cores())
    quota = _quota(Path("/sys/fs/cgroup"))
    return cores if quota is None else max(1, min(cores, math.floor(quota)))


def allowed_cores() -> list[int]:
    """The numbers of the cores that this process may use, by its affinity."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def _quota(groups: Path) -> float | None:
    """The CPU quota of a container in cores (cgroup v2 or v1), or None without a limit."""
    try:
        limit, period = (groups / "cpu.max").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        try:
            limit = (groups / "cpu" / "cpu.cfs_quota_us").read_text(encoding="ascii")
            period = (groups / "cpu" / "cpu.cfs_period_us").read_text(encoding="ascii")
        except OSError:
            return None
    return None if limit == "max" or float(limit) <= 0 else float(limit) / float(period)
