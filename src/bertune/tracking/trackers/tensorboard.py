"""TensorBoard: event files in the folder `tensorboard` of the run."""

from collections.abc import Sequence
from typing import Any

from bertune.files import shell_word
from bertune.optional_packages import needs
from bertune.tracking.tracker import Results, Row, Status, TrackedRun, Tracker


class TensorBoard(Tracker):
    """Scalars for every step and evaluation, the settings as text, and hyperparameters with final scores."""

    advice = "Check that the run folder can be written"

    def __init__(self) -> None:
        with needs("tensorboard", "for track.to=tensorboard"):
            from torch.utils import tensorboard

        self._library: Any = tensorboard
        self._writer: Any = None
        self._run: TrackedRun | None = None

    def start(self, run: TrackedRun) -> str:
        folder = run.path / "tensorboard"
        if folder.is_symlink():
            raise OSError(f"{folder} is a symbolic link, which bertune does not write through")
        # Steps after the checkpoint that a resumed run repeats replace those in the older files.
        purge = run.resumed_at + 1 if folder.is_dir() else None
        self._run = run
        self._writer = self._library.SummaryWriter(str(folder), purge_step=purge, flush_secs=10)
        if not run.resumed_at:
            self._writer.add_text("settings", _table(run.settings), 0)
            self._writer.add_text("facts", _table(run.facts), 0)
        return f"tensorboard --logdir {shell_word(folder)}"

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            for name, value in row.values.items():
                self._writer.add_scalar(name, value, row.step)

    def finish(self, results: Results, status: Status) -> None:
        run, writer = self._run, self._writer
        assert run is not None
        if status == "complete":
            final = {f"final/{name}": value for name, value in results.scores.items()}
            if run.is_summary or run.group is None or final:
                # In the same folder: by default, every call creates a separate run.
                writer.add_hparams(dict(run.settings), final, run_name=".", global_step=results.step)
            writer.add_text("results", _table({"status": status, **results.facts}), results.step)
        writer.close()


def _table(values: Any) -> str:
    """A Markdown table of names and values."""
    rows = (f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in values.items())
    return "\n".join(("| name | value |", "|---|---|", *rows))


TRACKER = TensorBoard
