"""The `Scores` data class, which every task returns."""

from dataclasses import dataclass, field
from typing import Any

LOWER_IS_BETTER = {
    "loss",
    "log_loss",
    "hamming_loss",
    "mse",
    "rmse",
    "mae",
    "perplexity",
    "pseudo_perplexity",
}


@dataclass(frozen=True)
class Scores:
    """Scores by name, and the details that a report shows with them."""

    values: dict[str, float | None]  # None if a score is undefined, such as ROC AUC on a single class
    details: dict[str, Any] = field(default_factory=dict)  # plain JSON: see bertune.metrics.details

    def __getitem__(self, name: str) -> float | None:
        return self.values[name]
