"""A small trained model with its export."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Exported:
    """A run folder, and its export as an ONNX graph."""

    run: Path
    export: Path
