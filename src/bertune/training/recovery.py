"""Restore the records of an unfinished run from its checkpoints."""

from pathlib import Path

from bertune.errors import DamagedError
from bertune.files import changed_files, shown_path, write_atomically
from bertune.run import CHECKPOINTS, CONFIG, MANIFEST, intact_manifest, is_run, read_manifest, start_again
from bertune.run_writer import RunWriter
from bertune.training.checkpoint import Checkpoints


def recover(folder: Path) -> list[str]:
    """Restore a damaged manifest.json or config.toml, and return a message for each restored file.

    Raises DamagedError if no intact checkpoint has a copy, RunBusyError, and InputError for a run of a newer
    format.
    """
    if not is_run(folder) or not _damaged(folder):
        return []
    with RunWriter(folder):
        records = Checkpoints(folder / CHECKPOINTS).records()
        damaged = _damaged(folder)
        if not set(damaged) <= set(records):
            raise DamagedError(
                f"{'; '.join(damaged.values())}, and no intact checkpoint has a copy. Restore the file "
                "from a copy, or start again: run the original training command with another --out"
            )
        for name in damaged:
            write_atomically(folder / name, records[name])
    return [f"{problem}: restored from the last checkpoint" for problem in damaged.values()]


def _damaged(folder: Path) -> dict[str, str]:
    """Problems with the records of a run, by file."""
    try:
        manifest = intact_manifest(folder / MANIFEST)
    except DamagedError as error:
        records = Checkpoints(folder / CHECKPOINTS).records()
        problem = (
            str(error) if (folder / MANIFEST).exists() else f"{shown_path(folder / MANIFEST)} is missing"
        )
        if MANIFEST not in records:
            if not any((folder / CHECKPOINTS).glob("step-*")):
                read_manifest(folder / MANIFEST)  # raises the same error and says what to do
            advice = start_again(folder)
            raise DamagedError(f"{problem}, and no intact checkpoint has a copy. {advice}") from error
        damaged = {MANIFEST: problem}
        # The damaged manifest cannot verify the settings, but the copy in the checkpoint can.
        if not (folder / CONFIG).exists() or (folder / CONFIG).read_bytes() != records.get(CONFIG):
            damaged[CONFIG] = (
                f"{shown_path(folder / CONFIG)} differs from the settings that training started with"
            )
        return damaged
    expected = {name: digest for name, digest in (manifest.get("files") or {}).items() if name == CONFIG}
    problems = changed_files(folder, expected)
    return {CONFIG: problems[0]} if problems else {}
