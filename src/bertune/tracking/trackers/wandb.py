"""Weights & Biases: online, or offline with WANDB_MODE=offline."""

import netrc
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from bertune.errors import ConfigError
from bertune.files import shell_word
from bertune.optional_packages import needs
from bertune.tracking.tracker import Results, Row, Status, TrackedRun, Tracker


class WeightsAndBiases(Tracker):
    """Metrics, the settings as config, final scores in the summary, and artifacts."""

    advice = "Run `wandb login`, or set WANDB_MODE=offline and upload the run later with `wandb sync`"

    def __init__(self) -> None:
        with needs("wandb", "for track.to=wandb"):
            import wandb

        self._library: Any = wandb
        self._run: Any = None
        self._name = ""

    def start(self, run: TrackedRun) -> str:
        library = self._library
        self._refuse_prompt()
        self._name = run.name
        self._run = library.init(
            project=run.project,
            name=run.name,
            id=run.id,
            resume="allow",
            group=None if run.group is None else f"{run.group.name}-{run.group.id[:6]}",
            job_type="summary" if run.is_summary else "train",
            dir=str(run.path),
            config={**run.settings, **{f"fact.{name}": value for name, value in run.facts.items()}},
            reinit="create_new",  # a run of the caller stays open and current
            # The tracker prints nothing, and does not collect the caller's code and console.
            settings=library.Settings(silent=True, console="off", disable_code=True, disable_git=True),
        )
        if self._run.settings.mode == "offline":
            return f"offline; upload it with: wandb sync {shell_word(Path(self._run.dir).parent)}"
        return str(self._run.url)

    def _refuse_prompt(self) -> None:
        """Raise ConfigError if wandb would ask for an API key, which cannot be answered while training."""
        settings = self._library.setup().settings
        if settings.mode in ("offline", "disabled") or settings.api_key or settings.identity_token_file:
            return
        try:
            known = netrc.netrc().authenticators(urlsplit(settings.base_url).hostname or "")
        except (OSError, netrc.NetrcParseError):
            known = None
        if known is None:
            raise ConfigError("wandb has no API key")

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._run.log(dict(row.values), step=row.step)

    def finish(self, results: Results, status: Status) -> None:
        self._run.summary.update({f"final/{name}": value for name, value in results.scores.items()})
        self._run.summary.update({"status": status, **results.facts})
        for kind, folder in (("report", results.report), ("model", results.model)):
            if folder is not None:
                artifact = self._library.Artifact(f"{_allowed(self._name)}-{kind}", type=kind)
                for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                    # add_dir prints its progress.
                    artifact.add_file(str(file), name=file.relative_to(folder).as_posix())
                self._run.log_artifact(artifact)
        self._run.finish(exit_code=1 if status == "failed" else 0)


def _allowed(name: str) -> str:
    """A name with only the characters that names of artifacts may have."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.") else "-" for c in name)[:100]


TRACKER = WeightsAndBiases
