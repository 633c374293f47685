"""Owns the job: what every contestant of a comparison is given, so that all of them do the same work."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

WARMUP_STEPS = 5  # not timed: the first steps allocate memory and choose kernels
TEXT_COLUMNS = {1: ("text",), 2: ("text_a", "text_b")}
LABEL_COLUMN = "label"

Item = tuple[tuple[str, ...], str]  # one text or a pair, and its label


@dataclass(frozen=True)
class Job:
    """Texts, model and recipe. Files are absolute paths; `texts` and `held_out` are JSON Lines."""

    model: str  # folder with configuration, weights and tokenizer
    texts: str
    held_out: str
    num_texts: int
    num_columns: int  # 1: single texts, 2: pairs
    labels: tuple[str, ...]
    max_length: int
    batch_size: int = 32
    epochs: int = 3  # of the plan that decides the learning rates; a timed run may stop before
    lr: float = 5e-5
    warmup: float = 0.1  # share of the plan's steps
    weight_decay: float = 0.01
    freeze: str = "none"  # as train.freeze
    precision: str = "bf16"  # of contestants that take the fastest there is: fp32 or bf16
    device: str = "cpu"
    seconds: float = 5.0  # the least time that is measured
    is_whole: bool = False  # every step of the plan counts, caches included; else the steps after a warm-up
    saves: bool = False  # after the last step the model is evaluated and saved, as a user's run would
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)  # bertune's own, beside the above

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in one pass; the last may hold fewer texts."""
        return -(-self.num_texts // self.batch_size)

    @property
    def period(self) -> int:
        """Steps after which a Trainer that groups by length has seen short and long batches alike.

        It sorts 50 batches at a time, longest first (fewer where the texts are few), so the rate over any
        other number of steps would be that of long or of short texts.
        """
        return max(1, min(self.num_texts // (self.batch_size * 4), 50))

    def items(self) -> list[Item]:
        """The texts with their labels."""
        return read_items(Path(self.texts), self.num_columns)

    def facts(self) -> dict[str, Any]:
        """What a reader of the figures has to know; no folders."""
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
    """Texts and labels as JSON Lines that bertune and the peers both read."""
    with path.open("w", encoding="utf-8") as file:
        for texts, label in items:
            row = {**dict(zip(TEXT_COLUMNS[len(texts)], texts, strict=True)), LABEL_COLUMN: label}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def read_items(path: Path, num_columns: int) -> list[Item]:
    """What `write_items` wrote."""
    columns = TEXT_COLUMNS[num_columns]
    # Only "\n" ends a row: str.splitlines would also cut at Unicode separators inside a text.
    rows = (json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line)
    return [(tuple(row[column] for column in columns), row[LABEL_COLUMN]) for row in rows]


def plan_epochs(num_texts: int, batch_size: int, least_steps: int = 200) -> int:
    """Three epochs, or as many as make a plan long enough to be timed."""
    per_epoch = -(-num_texts // batch_size)
    return max(3, -(-least_steps // per_epoch))


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many items, evenly from first to last, and one more for every label they would lack.

    Evenly, because files are often sorted by label.
    """
    if len(items) <= most:
        return list(items)
    chosen = [items[i * (len(items) - 1) // max(1, most - 1)] for i in range(most)]
    there = {label for _, label in chosen}
    others = {label: (texts, label) for texts, label in reversed(items) if label not in there}
    return chosen + list(others.values())
