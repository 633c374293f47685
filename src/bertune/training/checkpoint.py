"""Owns resumable state: written whole or not at all, checksummed, the last whole one found again."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertune.run import disk_errors, replacing, sync, write_json

KEPT = 2  # the newest, and one to fall back to should its bytes be lost
_STATE = "state.json"


@dataclass(frozen=True)
class Progress:
    """Where training stands, beside the tensors. Plain JSON."""

    step: int
    evaluated_step: int  # the last step that was evaluated
    best_step: int  # 0: none yet
    best_value: float | None
    evaluations_without_gain: int
    train_seconds: float
    evaluate_seconds: float
    examples_seen: int


@dataclass(frozen=True)
class Checkpoint:
    """A whole, verified checkpoint on disk."""

    folder: Path
    progress: Progress

    @property
    def has_weights(self) -> bool:
        """False for the mark that training is over: then the best weights are all that is needed."""
        return bool(self.optimizer())

    def model(self) -> dict[str, Tensor]:
        """The model's tensors by name."""
        return load_file(str(self.folder / "model.safetensors"))

    def optimizer(self) -> dict[str, Tensor]:
        """The optimizer's tensors, as `Optimizer.state` named them."""
        return load_file(str(self.folder / "optimizer.safetensors"))


class Checkpoints:
    """The `checkpoints` folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, progress: Progress, model: dict[str, Tensor], optimizer: dict[str, Tensor]) -> None:
        """Adds a checkpoint and forgets old ones. After a crash it is there whole or not at all."""
        staging = self.folder / f".step-{progress.step:08d}.tmp"
        target = self.folder / f"step-{progress.step:08d}"
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                files = {"model.safetensors": model, "optimizer.safetensors": optimizer}
                for name, tensors in files.items():
                    _save_tensors(staging / name, tensors)
                best = self.best_path(progress.best_step)
                state: dict[str, Any] = {
                    "progress": vars(progress),
                    "sha256": {name: _sha256(staging / name) for name in files},
                    "best": {best.name: _sha256(best)} if progress.best_step else {},
                }
                write_json(staging / _STATE, state)
                shutil.rmtree(target, ignore_errors=True)
                staging.rename(target)
                sync(self.folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
        self._forget_old()

    def save_best(self, step: int, model: dict[str, Tensor]) -> None:
        """Stores the weights that score best so far; older ones stay until no checkpoint needs them."""
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
            with replacing(self.best_path(step)) as staging:
                _save_tensors(staging, model)

    def load_best(self, step: int) -> dict[str, Tensor]:
        """The weights stored for a step."""
        return load_file(str(self.best_path(step)))

    def best_path(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}.safetensors"

    def last_whole(self) -> Checkpoint | None:
        """The newest checkpoint whose every byte is as it was written, or None."""
        for folder in sorted(self.folder.glob("step-*"), reverse=True):
            checkpoint = self._verified(folder)
            if checkpoint is not None:
                return checkpoint
        return None

    def remove_all(self) -> None:
        """Frees the disk once training is complete and the kept weights are in the model folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _verified(self, folder: Path) -> Checkpoint | None:
        try:
            state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
            expected = {folder / name: digest for name, digest in state["sha256"].items()}
            expected |= {self.folder / name: digest for name, digest in state["best"].items()}
            if any(_sha256(path) != digest for path, digest in expected.items()):
                return None
            return Checkpoint(folder, Progress(**state["progress"]))
        except (OSError, ValueError, KeyError, TypeError, SafetensorError):
            return None  # damaged: the next older one is tried

    def _forget_old(self) -> None:
        folders = sorted(self.folder.glob("step-*"), reverse=True)
        for folder in folders[KEPT:]:
            shutil.rmtree(folder, ignore_errors=True)
        needed = {
            name
            for folder in folders[:KEPT]
            for name in json.loads((folder / _STATE).read_text(encoding="utf-8"))["best"]
        }
        for path in self.folder.glob("best-*.safetensors"):
            if path.name not in needed:
                path.unlink()


def model_tensors(model: torch.nn.Module) -> dict[str, Tensor]:
    """A model's tensors by name, each storage once, ready to be saved."""
    unique: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict().items():
        unique.setdefault(tensor.data_ptr(), (name, tensor))
    return {name: tensor.detach().contiguous() for name, tensor in unique.values()}


def load_model_tensors(model: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    """Puts back what `model_tensors` gave; tied parameters follow the one that was stored."""
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    stored = {model.state_dict()[name].data_ptr() for name in tensors if name not in unexpected}
    untied = [name for name in missing if model.state_dict()[name].data_ptr() not in stored]
    assert not unexpected and not untied, f"checkpoint of another model: {unexpected + untied}"


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, str(path))
    sync(path)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
