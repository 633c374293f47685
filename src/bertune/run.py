"""Read and verify a run folder. Nothing in a run is ever executed."""

import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bertune.config import Config, Settings
from bertune.errors import DamagedError, InputError
from bertune.files import (
    CHECKSUM,
    JsonObject,
    as_path,
    changed_files,
    is_intact,
    read_jsonl,
    read_object,
    refuse_unusable,
    shell_word,
    shown_path,
)
from bertune.manifest import ManifestRecord, check_manifest
from bertune.renamed import LAST_FORMAT, current_settings
from bertune.settings import located, read_toml, resolve, settings_of

FORMAT = 3  # incremented when the layout changes; all earlier formats can be read
MANIFEST, CONFIG, METRICS = "manifest.json", "config.toml", "metrics.jsonl"
PREDICTIONS, CHECKPOINTS = "predictions", "checkpoints"


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run, read from its folder."""

    path: Path

    @property
    def model_path(self) -> Path:
        """The folder with the best weights, in the Hugging Face layout."""
        return self.path / "model"

    @property
    def config(self) -> Config:
        """The resolved settings of this run. Raises ConfigError."""
        return read_config(self.path)

    @property
    def manifest(self) -> JsonObject:
        """The manifest: data, model, resolved "auto" values, timings and scores. Raises InputError."""
        return read_manifest(self.path / MANIFEST)

    @property
    def record(self) -> ManifestRecord:
        """The manifest as typed records; values that were not recorded are None. Raises InputError."""
        return ManifestRecord.model_validate(self.manifest)

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the best weights on the test split, or on the validation split without a test split."""
        scores = self.manifest["scores"]
        chosen: dict[str, float] = scores.get("test") or scores.get("validation") or {}
        return chosen

    def metrics(self) -> list[JsonObject]:
        """One object per training step: step, epoch, loss, lr, and `validation` after an evaluation.

        Raises DamagedError if a line is damaged or missing.
        """
        path = self.path / METRICS
        if not path.exists():
            return []
        try:
            lines = list(read_jsonl(path))
            for number, line in enumerate(lines, start=1):
                if line.get("step") != number:
                    raise DamagedError(
                        f"{shown_path(path)}, line {number}: expected step {number}, found "
                        f"{line.get('step')!r}"
                    )
        except DamagedError as error:
            raise DamagedError(
                f"{error}. If the run is unfinished, `bertune train {shell_word(self.path)} --resume` "
                "restores the file from the last checkpoint"
            ) from error
        return lines

    def resamples(self, split: str) -> dict[str, Any] | None:
        """The stored resamples [R] of each score for a split; None if there are none. Raises DamagedError."""
        path = self.path / PREDICTIONS / f"{split}.resamples.npz"
        return read_arrays(path) if path.is_file() else None

    def predictions(self, split: str) -> Iterator[JsonObject]:
        """The stored predictions for `validation` or `test`, in the order of the source."""
        return read_jsonl(self.path / PREDICTIONS / f"{split}.jsonl")


def read_arrays(path: Path) -> dict[str, Any]:
    """Read the arrays of an .npz file by name. Raises DamagedError."""
    import numpy as np  # here, because most commands read runs without arrays, and should start quickly

    try:
        # Opened here, because NumPy leaves the file of a damaged archive open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    # RuntimeError: flags of the archive that ask for a password or an unknown compression.
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise DamagedError(f"{shown_path(path)} is damaged ({str(error)[:80]})") from error


def _why_not(folder: Path) -> str:
    """Why a path is not a run folder, and what to do."""
    if folder.is_file():
        return "it is a file. Pass the folder of a run"
    if (folder / "tuning.json").is_file():
        return f"it is a search. Pass the run of its best settings: {shell_word(folder / 'best')}"
    if (folder / "cross-validation.json").is_file():
        fold = shell_word(folder / "folds" / "fold-1")
        return f"it is a cross-validation. Pass the run of a fold, such as {fold}"
    if (folder / "bertune.json").is_file():
        return "it is a saved model or an export. Pass the folder of the run that it belongs to"
    what = "has no manifest.json" if folder.is_dir() else "does not exist"
    return f"it {what}. `bertune train SOURCE --out {shell_word(folder)}` creates one"


def open_run(path: str | Path) -> Run:
    """Open a run folder. Raises InputError if it is not a run, is damaged, or has a newer format."""
    folder = as_path(path, "the run")
    refuse_unusable(folder, "the run")
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise InputError(f"{shown_path(folder)} is not a run folder: {_why_not(folder)}")
    read_manifest(manifest)
    return Run(folder)


def read_manifest(path: Path) -> JsonObject:
    """Read a manifest and verify its checksum and types. Raises InputError that says what to do."""
    try:
        return intact_manifest(path)
    except DamagedError as error:
        raise DamagedError(f"{error}. {_advice(path.parent)}") from error


def intact_manifest(path: Path) -> JsonObject:
    """Like `read_manifest`, but the error does not say what to do: the caller adds that."""
    manifest, shown = read_object(path), shown_path(path)
    format_number = manifest.get("format")
    if CHECKSUM in manifest and not is_intact(manifest):
        raise DamagedError(
            f"{shown} does not match its checksum: it is damaged or was changed after bertune wrote it"
        )
    if isinstance(format_number, bool) or not isinstance(format_number, int) or format_number < 1:
        raise DamagedError(f"{shown} is not the manifest of a run: its format is {format_number!r}")
    if format_number > FORMAT:
        raise InputError(
            f"{shown_path(path.parent)} has run format {format_number}, but this bertune reads formats up to "
            f"{FORMAT}. Upgrade bertune"
        )
    if format_number >= 2 and CHECKSUM not in manifest:
        raise DamagedError(f"{shown} is damaged: it has no checksum")
    check_manifest(manifest, path)
    return manifest


def _advice(folder: Path) -> str:
    """Advice on a run whose manifest is lost."""
    if _has_checkpoint(folder):
        return f"`bertune train {shell_word(folder)} --resume` restores it from the last checkpoint"
    if (folder / "model" / "bertune.json").is_file():
        return (
            "The model has its own checksums and can still be used: "
            f"`bertune predict {shell_word(folder)} FILE`. To get a report, train again: "
            f"`bertune train {shell_word(folder)} --out NEW`"
        )
    return start_again(folder)


def start_again(folder: Path) -> str:
    """Advice on a run that cannot be resumed."""
    if (folder / CONFIG).is_file():
        return f"Start again with the same settings: `bertune train {shell_word(folder)} --out NEW`"
    return "Start a new run with another --out"


def read_config(folder: Path) -> Config:
    """The settings of a run. Raises ConfigError with the file name if they are invalid."""
    stored = stored_settings(folder)
    with located(folder / CONFIG, stored):
        return resolve(stored)


def stored_settings(folder: Path) -> Settings:
    """The settings in a run folder under their current names. Raises ConfigError."""
    path = folder / CONFIG
    settings = settings_of(path, read_toml(path))
    try:
        format_number = read_manifest(folder / MANIFEST)["format"]
    except InputError:
        return settings
    return current_settings(settings) if format_number <= LAST_FORMAT else settings


def verify_config(folder: Path) -> None:
    """Raise DamagedError if config.toml does not match the checksum in an intact manifest."""
    try:
        recorded = read_manifest(folder / MANIFEST).get("files") or {}
    except InputError:
        return
    problems = changed_files(folder, {name: recorded[name] for name in (CONFIG,) if name in recorded})
    if problems:
        raise DamagedError(
            f"{problems[0]}: damaged, or changed after training started. Restore it from a copy. To train "
            "with other settings, set them as key=value, or copy the file and train from the copy"
        )


def verify(run: Run) -> None:
    """Raise DamagedError if a file of a finished run has changed since training."""
    recorded = run.manifest.get("files") or {}
    problems = changed_files(run.path, recorded)
    if problems:
        raise DamagedError(
            f"{'; '.join(problems)}: damaged, or changed after training. Restore from a copy, or train "
            f"again: `bertune train {shell_word(run.path)} --out NEW`"
        )


def refuse_older_manifest(run: Run) -> None:
    """Raise DamagedError if a finished run has the manifest of an unfinished one.

    A model without checkpoints exists only after the manifest has recorded that the run is complete.
    """
    is_finished = (run.model_path / "bertune.json").is_file() and not (run.path / CHECKPOINTS).exists()
    if is_finished and run.manifest.get("status") != "complete":
        raise DamagedError(
            f"{shown_path(run.path / MANIFEST)} is older than {shown_path(run.model_path)}: it does not "
            "record that training is complete. Restore the newest copy, or train again: "
            f"`bertune train {shell_word(run.path)} --out NEW`"
        )


def is_run(path: Path) -> bool:
    """Whether a folder is a run: it has a manifest, or checkpoints from which it can be restored."""
    return os.path.isfile(path / MANIFEST) or _has_checkpoint(path)


def _has_checkpoint(folder: Path) -> bool:
    checkpoints = folder / CHECKPOINTS
    return os.path.isdir(checkpoints) and any(checkpoints.glob("step-*/state.json"))
