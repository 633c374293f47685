"""The job of a comparison: the same texts, model and recipe for every contestant."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WARMUP_STEPS = 5  # not timed: the first steps allocate memory and select kernels
TEXT_COLUMNS = {1: ("text",), 2: ("text_a", "text_b")}
LABEL_COLUMN = "label"

Item = tuple[tuple[str, ...], str]  # one text or a pair, and its label


@dataclass(frozen=True)
class Job:
    """Texts, model and recipe. Paths are absolute; `texts` and `held_out` are JSON Lines files."""

    model: str  # folder with configuration, weights and tokenizer
    texts: str
    held_out: str
    num_texts: int
    num_columns: int  # 1: single texts, 2: pairs
    labels: tuple[str, ...]
    max_length: int
    batch_size: int = 32
    epochs: int = 3  # determines the learning-rate schedule; a timed run may stop earlier
    lr: float = 5e-5
    warmup: float = 0.1  # fraction of the scheduled steps
    weight_decay: float = 0.01
    freeze: str = "none"  # as train.freeze
    precision: str = "bf16"  # fp32 or bf16, for contestants that use the fastest available precision
    device: str = "cpu"
    seconds: float = 5.0  # minimum duration of a measurement
    is_whole: bool = False  # time every step, including the filling of caches; else only after a warm-up
    saves: bool = False  # evaluate and save the model after the last step, as a user's run does
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # further settings of bertune

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps per epoch; the last batch may be smaller."""
        return -(-self.num_texts // self.batch_size)

    @property
    def period(self) -> int:
        """Steps after which a Trainer that groups by length has seen batches of all lengths.

        It sorts 50 batches at a time (fewer if there are few texts), longest first. The rate over any other
        number of steps would be biased towards long or short texts.
        """
        return max(1, min(self.num_texts // (self.batch_size * 4), 50))

    def items(self) -> list[Item]:
        """The texts with their labels."""
        return read_items(Path(self.texts), self.num_columns)

    def facts(self) -> dict[str, Any]:
        """The job's values for a results page, without paths."""
        values = asdict(self)
        del values["model"], values["texts"], values["held_out"], values["settings"]
        return values

    def write(self, path: Path) -> None:
        """Stores the job as JSON."""
        path.write_text(json.dumps(asdict(self), indent=2), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> "Job":
        """The job that `write` stored."""
        values = json.loads(path.read_text(encoding="utf-8"))
        return cls(**{**values, "labels": tuple(values["labels"])})


def write_items(path: Path, items: Sequence[Item]) -> None:
    """Writes texts and labels as JSON Lines, readable by bertune and the peers."""
    with path.open("w", encoding="utf-8") as file:
        for texts, label in items:
            row = {**dict(zip(TEXT_COLUMNS[len(texts)], texts, strict=True)), LABEL_COLUMN: label}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_items(path: Path, num_columns: int) -> list[Item]:
    """Reads a file that `write_items` wrote."""
    columns = TEXT_COLUMNS[num_columns]
    # Only "\n" ends a row: str.splitlines would also split at Unicode separators inside a text.
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line)
    return [(tuple(row[column] for column in columns), row[LABEL_COLUMN]) for row in rows]


def plan_epochs(num_texts: int, batch_size: int, least_steps: int = 200) -> int:
    """Three epochs, or as many as are needed for `least_steps` steps."""
    per_epoch = -(-num_texts // batch_size)
    return max(3, -(-least_steps // per_epoch))


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` evenly spaced items, plus one for every label that would otherwise be missing.

    They are evenly spaced because files are often sorted by label.
    """
    if len(items) <= most:
        return list(items)
    chosen = [items[i * (len(items) - 1) // max(1, most - 1)] for i in range(most)]
    covered = {label for _, label in chosen}
    others = {label: (texts, label) for texts, label in reversed(items) if label not in covered}
    return chosen + list(others.values())
