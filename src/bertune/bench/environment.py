"""Describes the machine and the software of a measurement, without host names."""

import importlib.metadata
import os
import platform
from pathlib import Path
from typing import Any

_RECORDED = (
    "bertune", "torch", "transformers", "tokenizers", "numpy", "accelerate", "sentence-transformers",
    "onnxruntime", "onnx",
)  # fmt: skip


def machine() -> dict[str, Any]:
    """The processor, the number of cores available to this process, and the operating system."""
    cpu = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                cpu = line.split(":", 1)[1].strip()
                break
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"cpu": cpu, "cores": cores, "system": f"{platform.system()} {platform.machine()}"}


def versions() -> dict[str, str]:
    """The versions of Python and of the compared packages that are installed."""
    result = {"python": platform.python_version()}
    for name in _RECORDED:
        try:
            result[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return result
