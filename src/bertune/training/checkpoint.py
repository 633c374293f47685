"""Write checkpoints atomically and with checksums, and find the newest intact one.

The loss of any single file can be repaired. Two checkpoints are kept, each with a copy of the records of the
run. If both need the same best weights, two copies of the weights are kept.
"""

import re
import shutil
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from bertune.errors import DamagedError
from bertune.files import (
    JsonObject,
    changed_files,
    disk_errors,
    give_usual_permissions,
    is_intact,
    read_object,
    remove,
    remove_if_empty,
    replacing,
    sealed,
    sha256_of,
    sync,
    temporary_name,
    write_json,
)
from bertune.run import CONFIG, MANIFEST, METRICS
from bertune.training.selection import Ranked

KEPT = 2  # the newest, and one to fall back to if it is damaged
_STATE, _MODEL, _OPTIMIZER = "state.json", "model.safetensors", "optimizer.safetensors"
_STEP, _BEST = re.compile(r"step-\d{8}"), re.compile(r"best-(\d{8})(\.spare)?\.safetensors")
_RECORDS = (CONFIG, MANIFEST, METRICS)  # records of the run folder; each checkpoint has a copy


@dataclass(frozen=True)
class Progress:
    """The training state apart from tensors, as plain JSON."""

    step: int
    evaluated_step: int  # the last step that was evaluated
    best_step: int  # step of the best checkpoint; 0: none yet
    best_value: float | None
    evaluations_without_gain: int
    train_seconds: float
    evaluate_seconds: float
    examples_seen: int
    top: Ranked | None = None  # the best score so far, possibly of an earlier step than best_step


@dataclass(frozen=True)
class Checkpoint:
    """A complete, verified checkpoint on disk."""

    folder: Path
    progress: Progress

    @property
    def has_weights(self) -> bool:
        """False for the marker of finished training, after which only the best weights are needed."""
        return bool(self.optimizer())

    def model(self) -> dict[str, Tensor]:
        """The tensors of the model by name."""
        return load_file(str(self.folder / _MODEL))

    def optimizer(self) -> dict[str, Tensor]:
        """The tensors of the optimizer, as returned by `Optimizer.state`."""
        return load_file(str(self.folder / _OPTIMIZER))

    def metrics(self) -> bytes:
        """`metrics.jsonl` as it was when the checkpoint was written."""
        path = self.folder / METRICS
        return path.read_bytes() if path.exists() else b""


@dataclass(frozen=True)
class Found:
    """The newest intact checkpoint, if any, and a message for each damaged file that was set aside."""

    checkpoint: Checkpoint | None
    damage: list[str] = field(default_factory=list)


class Checkpoints:
    """The `checkpoints` folder of a run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._best_sha256: dict[int, str] = {}  # by step, of weights that this process wrote or verified

    def save(self, progress: Progress, model: dict[str, Tensor], optimizer: dict[str, Tensor]) -> None:
        """Write a checkpoint atomically and remove old ones."""
        target = self.folder / _name(progress.step)
        staging = self.folder / temporary_name(target.name)
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
            remove(staging)
            staging.mkdir()
            try:
                _save_tensors(staging / _MODEL, model)
                _save_tensors(staging / _OPTIMIZER, optimizer)
                for name in _RECORDS:
                    if (self.folder.parent / name).exists():
                        shutil.copyfile(self.folder.parent / name, staging / name)
                        sync(staging / name)
                state: JsonObject = {
                    "progress": asdict(progress),
                    "sha256": {path.name: sha256_of(path) for path in sorted(staging.iterdir())},
                    "best_sha256": self._sha256_of_best(progress.best_step),
                }
                write_json(staging / _STATE, sealed(state))
                remove(target)
                staging.rename(target)
                sync(self.folder)
            finally:
                remove(staging)
            self._forget_old()

    def save_best(self, step: int, model: dict[str, Tensor]) -> None:
        """Write the best weights so far. Older ones are kept until no checkpoint needs them."""
        with disk_errors(self.folder):
            self.folder.mkdir(exist_ok=True)
            with replacing(self.best_path(step)) as staging:
                _save_tensors(staging, model)
            self._best_sha256.pop(step, None)

    def load_best(self, step: int) -> dict[str, Tensor]:
        """The weights stored for a step."""
        return load_file(str(self.best_path(step)))

    def best_path(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}.safetensors"

    def _spare_path(self, step: int) -> Path:
        return self.folder / f"best-{step:08d}.spare.safetensors"

    def latest_valid(self) -> Found:
        """Find the newest checkpoint without damage, and rename damaged ones.

        The checkpoint to fall back to is verified too, so that damage is found before it is needed.
        """
        damage: list[str] = []
        found: Checkpoint | None = None
        for number, folder in enumerate(self._newest_first()):
            if found is not None and number >= KEPT:
                break  # possibly removed only in part by a killed process
            checkpoint = self._verified(folder, damage)
            if checkpoint is None:
                self._set_aside(folder)
            found = found or checkpoint
        if found is not None and found.progress.best_step:
            self._verify_spare(found.progress.best_step, damage)
        return Found(found, damage)

    def _newest_first(self) -> list[Path]:
        """The checkpoint folders. Other entries, such as links to them, do not belong to bertune."""
        if not self.folder.is_dir():
            return []
        found = [path for path in self.folder.iterdir() if _STEP.fullmatch(path.name)]
        return sorted((path for path in found if path.is_dir() and not path.is_symlink()), reverse=True)

    def records(self) -> dict[str, bytes]:
        """The records of the run from the newest checkpoint with intact copies; empty if there is none."""
        for folder in self._newest_first():
            state = _state(folder)
            if state is None:
                continue
            digests = {name: digest for name, digest in state["sha256"].items() if name in _RECORDS}
            if not changed_files(folder, digests):
                return {name: (folder / name).read_bytes() for name in digests}
        return {}

    def _verified(self, folder: Path, damage: list[str]) -> Checkpoint | None:
        """The checkpoint in a folder, or None if it cannot be used; the reason is added to `damage`."""
        state = _state(folder)
        if state is None:
            damage.append(f"{folder / _STATE} is damaged, or was written by an earlier version of bertune")
            return None
        if folder.name != _name(state["progress"]["step"]):
            damage.append(f"{folder / _STATE} belongs to step {state['progress']['step']:,}")
            return None
        problems = changed_files(folder, state["sha256"])
        if problems:
            damage.append("; ".join(problems))
            return None
        top = state["progress"].get("top")
        progress = Progress(**{**state["progress"], "top": None if top is None else Ranked.of(top)})
        if progress.best_step and not self._has_best(progress.best_step, state["best_sha256"], damage):
            return None
        return Checkpoint(folder, progress)

    def _has_best(self, step: int, digest: str, damage: list[str]) -> bool:
        """Whether the best weights are intact or were restored from their second copy."""
        path = self.best_path(step)
        problems = changed_files(self.folder, {path.name: digest})
        if problems:
            copies = (self._spare_path(step), self.folder / _name(step) / _MODEL)
            copy = next((c for c in copies if not changed_files(c.parent, {c.name: digest})), None)
            damage.append(problems[0] + ("" if copy is None else "; restored from its second copy"))
            if copy is None:
                return False
            if path.exists():
                self._set_aside(path)
            _copy(copy, path)
        self._best_sha256[step] = digest
        return True

    def _verify_spare(self, step: int, damage: list[str]) -> None:
        """Set a damaged second copy aside. The next checkpoint creates a new one."""
        spare = self._spare_path(step)
        problems = changed_files(self.folder, {spare.name: self._best_sha256[step]}) if spare.exists() else []
        damage += problems
        if problems:
            self._set_aside(spare)

    def _set_aside(self, path: Path) -> None:
        """Rename a damaged file so that it is neither used nor lost."""
        names = (f"damaged-{path.name}{ending}" for ending in ("", *(f".{n}" for n in range(1, 1000))))
        target = next(self.folder / name for name in names if not (self.folder / name).exists())
        with disk_errors(self.folder):
            path.rename(target)

    def _sha256_of_best(self, step: int) -> str:
        if step and step not in self._best_sha256:
            self._best_sha256[step] = sha256_of(self.best_path(step))
        return self._best_sha256.get(step, "")

    def _forget_old(self) -> None:
        folders = self._newest_first()
        kept, old = folders[:KEPT], folders[KEPT:]
        states = [state for state in map(_state, kept) if state is not None]
        needed = {state["progress"]["best_step"] for state in states} - {0}
        if len(kept) == KEPT and len(needed) == 1:
            self._copy_best(next(iter(needed)), kept, old)
        for folder in old:
            remove(folder)
        for path in list(self.folder.iterdir()):
            best = _BEST.fullmatch(path.name)
            if best and int(best[1]) not in needed:
                path.unlink()
        remove_if_empty(self.folder)

    def _copy_best(self, step: int, kept: Iterable[Path], old: Iterable[Path]) -> None:
        """Keep a second copy of weights that all kept checkpoints need."""
        spare, name = self._spare_path(step), _name(step)
        if spare.exists() or any(folder.name == name for folder in kept):
            return
        # The checkpoint of the best step has the same weights and is about to be removed: reuse its file.
        source = next((folder / _MODEL for folder in old if folder.name == name), None)
        if source is not None and sha256_of(source) == self._sha256_of_best(step):
            source.rename(spare)
            sync(self.folder)
        else:
            _copy(self.best_path(step), spare)


def model_tensors(model: torch.nn.Module) -> dict[str, Tensor]:
    """The tensors of a model by name, each storage once, ready to be saved."""
    unique: dict[int, tuple[str, Tensor]] = {}
    for name, tensor in model.state_dict().items():
        unique.setdefault(tensor.data_ptr(), (name, tensor))
    return {name: tensor.detach().contiguous() for name, tensor in unique.values()}


def load_model_tensors(model: torch.nn.Module, tensors: dict[str, Tensor]) -> None:
    """Load tensors from `model_tensors` into a model. Tied parameters share the stored tensor."""
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    stored = {model.state_dict()[name].data_ptr() for name in tensors if name not in unexpected}
    untied = [name for name in missing if model.state_dict()[name].data_ptr() not in stored]
    assert not unexpected and not untied, f"checkpoint of another model: {unexpected + untied}"


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _state(folder: Path) -> dict[str, Any] | None:
    """The content of state.json of a checkpoint, or None if it is damaged."""
    try:
        state = read_object(folder / _STATE)
    except DamagedError:
        return None
    return state if is_intact(state) else None


def _save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file(tensors, str(path))
    give_usual_permissions(path)
    sync(path)


def _copy(source: Path, target: Path) -> None:
    with replacing(target) as staging:
        shutil.copyfile(source, staging)
