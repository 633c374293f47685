"""Owns the shape every task's scores have."""

from dataclasses import dataclass, field
from typing import Any

LOWER_IS_BETTER = {"loss", "log_loss", "hamming_loss", "mse", "rmse", "mae", "perplexity"}


@dataclass(frozen=True)
class Scores:
    """Scores by name, with what a report shows beside them."""

    values: dict[str, float | None]  # None where a score is undefined, as ROC-AUC on texts of one class
    details: dict[str, Any] = field(default_factory=dict)  # plain JSON: see bertune.metrics.details

    def __getitem__(self, name: str) -> float | None:
        return self.values[name]
