"""Stores the outputs of a model as plain arrays, from which predictions can be decoded again."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bertune.errors import DamagedError
from bertune.files import shown_path
from bertune.run import read_arrays
from bertune.tasks import Output

OUTPUTS = "outputs.npz"  # suffix of the file, next to the predictions of the split
Outputs = list[list[Output]]  # by example, then by sequence: [C], or [length, C] with a head per token


def save_outputs(path: Path, outputs: Sequence[Sequence[Output]]) -> None:
    """Write outputs to an .npz file in fp32, as the model computed them."""
    every = [output for of_example in outputs for output in of_example]
    is_flat = bool(every) and every[0].ndim == 1
    width = every[0].shape[-1] if every else 0
    rows = [np.atleast_2d(output) for output in every]
    with path.open("wb") as file:
        np.savez(
            file,
            values=np.concatenate(rows) if rows else np.zeros((0, width), np.float32),
            rows=np.array([len(output) for output in rows], np.int64),
            sequences=np.array([len(of_example) for of_example in outputs], np.int64),
            is_flat=np.array(is_flat),
        )


def load_outputs(path: Path) -> Outputs:
    """Read what `save_outputs` wrote. Raises DamagedError."""
    advice = "Remove the folder of this fold and continue with --resume, which trains it again"
    try:
        arrays = read_arrays(path)
    except DamagedError as error:
        raise DamagedError(f"{error}. {advice}") from error
    if not {"values", "rows", "sequences", "is_flat"} <= arrays.keys():
        raise DamagedError(f"{shown_path(path)} does not hold the outputs of a model. {advice}")
    values, rows, counts, is_flat = (arrays[name] for name in ("values", "rows", "sequences", "is_flat"))
    pieces = np.split(values, np.cumsum(rows)[:-1]) if len(rows) else []
    every = [piece[0] if is_flat else piece for piece in pieces]
    ends = np.cumsum(counts).tolist()
    return [every[end - count : end] for end, count in zip(ends, counts.tolist(), strict=True)]
