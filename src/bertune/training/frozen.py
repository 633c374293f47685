"""Outputs of the frozen layers, computed once and reused in every epoch.

Frozen layers have no dropout in training, so their outputs depend only on the text. The reference is to
compute them again at every step. They are stored in memory, or in a file of the run if memory is short.
"""

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import torch
from numpy.typing import NDArray

from bertune.files import disk_errors, replacing, sha256_of, write_atomically
from bertune.nn.batch import collate
from bertune.nn.device import Machine
from bertune.nn.memory import with_fewer_tokens
from bertune.nn.model import TextModel
from bertune.nn.packed import PackedEncoder
from bertune.text.batches import micro_batches
from bertune.text.sequences import Sequence
from bertune.training.encoded import EncodedSplit

_SHARE_OF_MEMORY, _SHARE_OF_DISK = 0.25, 0.5  # fraction of the free space that may be used


@dataclass(frozen=True)
class FrozenOutputs:
    """Splits whose sequences carry the outputs of the frozen layers."""

    splits: Mapping[str, EncodedSplit]
    kept_in: str  # "memory", "disk", or "nothing" if they are computed again at every step
    num_bytes: int


@dataclass(frozen=True)
class _Filling:
    """The computation, and the end of the rows of each sequence."""

    packed: PackedEncoder
    sequences: list[Sequence]
    ends: NDArray[np.int64]
    machine: Machine
    poll: Callable[[], None]

    def into(self, rows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute the rows of all sequences into `rows`."""
        tokens = self.machine.micro_batch_tokens
        for positions in micro_batches([len(s) for s in self.sequences], tokens):
            self.poll()
            chosen = [self.sequences[i] for i in positions]
            hidden, tokens = with_fewer_tokens(partial(self._compute, chosen), tokens, len(chosen[0]))
            for position, piece in zip(positions, hidden, strict=True):
                rows[self.ends[position] - len(piece) : self.ends[position]] = piece
        return rows

    def _compute(self, sequences: list[Sequence], tokens: int) -> list[NDArray[np.float32]]:
        outputs: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(sequences)
        for positions in micro_batches([len(s) for s in sequences], tokens):
            batch = collate([sequences[i] for i in positions]).to(self.machine.device)
            with torch.inference_mode(), self.machine.autocast():
                hidden = self.packed.frozen(batch)
            assert hidden is not None
            lengths = batch.lengths_S.tolist() if self.packed.keeps_tokens() else [1] * len(positions)
            pieces = torch.split(hidden.cpu(), lengths)
            for position, piece in zip(positions, pieces, strict=True):
                outputs[position] = piece.numpy()
        return outputs


def compute_once(
    model: TextModel,
    splits: Mapping[str, EncodedSplit],
    machine: Machine,
    folder: Path,
    poll: Callable[[], None] = lambda: None,
) -> FrozenOutputs | None:
    """Compute the frozen outputs of each sequence. None if too few layers are frozen to save time.

    `poll` is called between batches and may raise an exception to stop. Raises ResourceError if memory or
    disk space runs out.
    """
    packed = model.packed
    if packed is None or packed.num_frozen() < 2:  # embeddings take as long to load as to compute
        return None
    sequences = [sequence for split in splits.values() for sequence in split.sequences]
    ends = np.cumsum([len(s) for s in sequences] if packed.keeps_tokens() else [1] * len(sequences))
    filling = _Filling(packed, sequences, ends, machine, poll)
    shape = (int(ends[-1]), model.encoder.config.hidden_size)
    num_bytes = 4 * shape[0] * shape[1]
    if num_bytes <= _SHARE_OF_MEMORY * psutil.virtual_memory().available:
        kept_in, rows = "memory", filling.into(np.empty(shape, np.float32))
    elif num_bytes <= _SHARE_OF_DISK * shutil.disk_usage(folder.parent).free:
        kept_in, rows = "disk", _in_file(folder, shape, filling)
    else:
        return FrozenOutputs(splits, "nothing", num_bytes)
    pieces = iter(np.split(rows, ends[:-1]))
    cached = {
        name: replace(split, sequences=[replace(s, hidden=next(pieces)) for s in split.sequences])
        for name, split in splits.items()
    }
    return FrozenOutputs(cached, kept_in, num_bytes)


def _in_file(folder: Path, shape: tuple[int, int], filling: _Filling) -> NDArray[np.float32]:
    """The rows, memory-mapped from a file that a resumed run finds again by its key."""
    path = folder / f"{_key(filling)}.npy"
    seal = path.with_suffix(".sha256")
    if not (path.exists() and seal.exists() and sha256_of(path).encode() == seal.read_bytes()):
        with disk_errors(folder):
            folder.mkdir(exist_ok=True)
            with replacing(path) as staging:
                mapped = np.lib.format.open_memmap(staging, mode="w+", dtype=np.float32, shape=shape)
                _reserve(staging)
                filling.into(mapped)
                mapped.flush()
            write_atomically(seal, sha256_of(path))
    stored: NDArray[np.float32] = np.load(path, mmap_mode="r")
    return stored


def _reserve(path: Path) -> None:
    """Allocate the disk space now, because a memory-mapped file on a full disk kills the process."""
    with path.open("r+b") as file:
        size = os.fstat(file.fileno()).st_size
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, size)


def _key(filling: _Filling) -> str:
    """A hash of everything the rows depend on: texts, frozen weights, precision and micro-batch size."""
    machine = filling.machine
    digest = hashlib.sha256(
        f"{machine.precision} {machine.device.type} {machine.micro_batch_tokens}".encode()
    )
    for sequence in filling.sequences:
        digest.update(len(sequence).to_bytes(4, "little"))
        digest.update(sequence.ids.tobytes())
        digest.update(sequence.types.tobytes())
    for parameter in filling.packed.frozen_parameters():
        digest.update(parameter.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:32]
