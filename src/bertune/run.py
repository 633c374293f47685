"""The run folder: what is in it, how it is read and checked. Nothing in a run is ever executed."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bertune.config import Config, Settings, nested, read_toml, resolve
from bertune.errors import ConfigError, DamagedError, InputError
from bertune.files import (
    CHECKSUM,
    JsonObject,
    changed_files,
    is_intact,
    read_jsonl,
    read_object,
    refuse_unusable,
    shell_word,
)
from bertune.manifest import ManifestRecord, check_manifest
from bertune.renamed import LAST_FORMAT, current_settings

FORMAT = 3  # raised when the layout changes; readers accept every earlier number
MANIFEST, CONFIG, METRICS = "manifest.json", "config.toml", "metrics.jsonl"


@dataclass(frozen=True)
class Run:
    """A finished or unfinished run, read from its folder."""

    path: Path

    @property
    def model_path(self) -> Path:
        """The folder with the kept weights, in the Hugging Face layout."""
        return self.path / "model"

    @property
    def config(self) -> Config:
        """The resolved settings that made this run. Raises ConfigError."""
        return read_config(self.path)

    @property
    def manifest(self) -> JsonObject:
        """What was trained on what, what "auto" chose, timings and scores. Raises InputError."""
        return read_manifest(self.path / MANIFEST)

    @property
    def record(self) -> ManifestRecord:
        """The manifest with a type for every value; what was not recorded is None. Raises InputError."""
        return ManifestRecord.model_validate(self.manifest)

    @property
    def scores(self) -> dict[str, float]:
        """Scores of the kept weights: on the test texts where there are some, else on validation."""
        scores = self.manifest["scores"]
        chosen: dict[str, float] = scores.get("test") or scores.get("validation") or {}
        return chosen

    def metrics(self) -> list[JsonObject]:
        """One object per training step: step, epoch, loss, lr, and `validation` where it was evaluated.

        Raises DamagedError where a line is damaged or missing.
        """
        path = self.path / METRICS
        if not path.exists():
            return []
        try:
            lines = list(read_jsonl(path))
            for number, line in enumerate(lines, start=1):
                if line.get("step") != number:
                    found = line.get("step")
                    raise DamagedError(f"{path}, line {number}: expected step {number}, found {found!r}")
        except DamagedError as error:
            raise DamagedError(
                f"{error}. If the run is unfinished, `bertune train {shell_word(self.path)} --resume` "
                "restores the file from the last checkpoint"
            ) from error
        return lines

    def predictions(self, split: str) -> Iterator[JsonObject]:
        """The stored predictions of `validation` or `test`, in the order of the source."""
        return read_jsonl(self.path / "predictions" / f"{split}.jsonl")


def open_run(path: str | Path) -> Run:
    """The run in a folder. Raises InputError when it is none, damaged, or of a newer format."""
    folder = Path(path)
    refuse_unusable(folder, "the run")
    manifest = folder / MANIFEST
    if not manifest.is_file():
        what = "has no manifest.json" if folder.is_dir() else "does not exist"
        raise InputError(
            f"{folder} is not a run folder: it {what}. `bertune train SOURCE --out {folder}` makes one"
        )
    read_manifest(manifest)
    return Run(folder)


def read_manifest(path: Path) -> JsonObject:
    """The manifest in a file, its checksum and types verified. Raises InputError with advice."""
    try:
        return intact_manifest(path)
    except DamagedError as error:
        raise DamagedError(f"{error}. {_advice(path.parent)}") from error


def intact_manifest(path: Path) -> JsonObject:
    """As `read_manifest`, for a caller that knows what to advise."""
    manifest = read_object(path)
    made_with = manifest.get("format")
    if CHECKSUM in manifest and not is_intact(manifest):
        raise DamagedError(
            f"{path} does not match its checksum: it is damaged, or was changed after bertune wrote it"
        )
    if isinstance(made_with, bool) or not isinstance(made_with, int) or made_with < 1:
        raise DamagedError(f"{path} is not the manifest of a run: its format is {made_with!r}")
    if made_with > FORMAT:
        raise InputError(
            f"{path.parent} has run format {made_with}; this bertune reads up to {FORMAT}: upgrade bertune"
        )
    if made_with >= 2 and CHECKSUM not in manifest:
        raise DamagedError(f"{path} is damaged: it has no checksum")
    check_manifest(manifest, path)
    return manifest


def _advice(folder: Path) -> str:
    """What can still be done with a run whose manifest is lost."""
    if _has_checkpoint(folder):
        return f"`bertune train {shell_word(folder)} --resume` restores it from the last checkpoint"
    if (folder / "model" / "bertune.json").is_file():
        return (
            "The model has checksums of its own and can still be used: "
            f"`bertune predict {shell_word(folder)} FILE`. For a report, train again: "
            f"`bertune train {shell_word(folder)} --out NEW`"
        )
    return start_again(folder)


def start_again(folder: Path) -> str:
    """What to do with a run that cannot be continued."""
    if (folder / CONFIG).is_file():
        return f"Start again with the same settings: `bertune train {shell_word(folder)} --out NEW`"
    return "Start a new run with another --out"


def read_config(folder: Path) -> Config:
    """The settings of a run. Raises ConfigError naming the file where they cannot be used."""
    path = folder / CONFIG
    try:
        return resolve(stored_settings(folder))
    except ConfigError as error:
        text = str(error)
        raise ConfigError(text if str(path) in text else f"{path}: {text}") from error


def stored_settings(folder: Path) -> Settings:
    """The settings in a run folder under the names they have now. Raises ConfigError."""
    settings = nested(read_toml(folder / CONFIG))
    try:
        written_with = read_manifest(folder / MANIFEST)["format"]
    except InputError:
        return settings
    return current_settings(settings) if written_with <= LAST_FORMAT else settings


def verify_config(folder: Path) -> None:
    """Raises DamagedError where config.toml is not the one that an intact manifest beside it records."""
    try:
        recorded = read_manifest(folder / MANIFEST).get("files") or {}
    except InputError:
        return
    problems = changed_files(folder, {name: recorded[name] for name in (CONFIG,) if name in recorded})
    if problems:
        raise DamagedError(
            f"{problems[0]}: damaged, or changed after training began. Put back a copy. To train with other "
            "settings, give them as key=value, or copy the file out of the run and train from the copy"
        )


def verify(run: Run) -> None:
    """Raises InputError when a file of a finished run is not as training left it."""
    recorded = run.manifest.get("files") or {}
    problems = changed_files(run.path, recorded)
    if problems:
        raise DamagedError(
            f"{'; '.join(problems)}: damaged, or changed after training. Put back a copy, or train again: "
            f"`bertune train {shell_word(run.path)} --out NEW`"
        )


def refuse_older_manifest(run: Run) -> None:
    """Raises DamagedError for the manifest of an unfinished training in the folder of a finished one.

    A model without checkpoints is only there once the manifest has said that the run is complete.
    """
    is_finished = (run.model_path / "bertune.json").is_file() and not (run.path / "checkpoints").exists()
    if is_finished and run.manifest.get("status") != "complete":
        raise DamagedError(
            f"{run.path / MANIFEST} is older than {run.model_path}: it does not say that training is done. "
            f"Put back the newest copy, or train again: `bertune train {run.path} --out NEW`"
        )


def is_run(path: Path) -> bool:
    """Whether a folder holds a run: it has a manifest, or checkpoints to restore one from."""
    return os.path.isfile(path / MANIFEST) or _has_checkpoint(path)


def _has_checkpoint(folder: Path) -> bool:
    checkpoints = folder / "checkpoints"
    return os.path.isdir(checkpoints) and any(checkpoints.glob("step-*/state.json"))
