"""Limitations of evaluation data: scores that the gold labels determine, whatever the model predicts.

Examples are ROC AUC on texts of a single class, the reciprocal rank if every document is relevant, and the
correlation with a constant. Such a score carries no information about the model.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from bertune.errors import counted, listed

UNDEFINED = "undefined"
NEVER_ABOVE_0 = "0 or undefined"  # undefined if nothing is predicted either


@dataclass(frozen=True, slots=True)
class Limitation:
    """A fact about evaluation data, and the scores that it determines."""

    fact: str  # for example: all 30 texts have the label "a"
    settled: Mapping[str, str] = field(
        default_factory=dict
    )  # score -> its value regardless of the predictions
    # True for facts that are common in valid data, such as pairs without a gold score: they are only worth a
    # warning if one of these scores selects the checkpoint.
    is_usual: bool = False


def limitation_texts(limitations: Sequence[Limitation], selecting: str | None = None) -> list[str]:
    """A message for each limitation; `selecting` is the score that selects the checkpoint, if any."""
    messages = []
    for one in limitations:
        if one.is_usual and selecting not in one.settled:
            continue
        text = one.fact
        if one.settled:
            text += f"; regardless of the predictions, {_values(one.settled)}"
        if selecting in one.settled:
            text += (
                f". {selecting} selects the checkpoint (train.best_metric) but cannot distinguish "
                "checkpoints on this data: set train.best_metric to another score, or use other validation "
                "data"
            )
        messages.append(text)
    return messages


def undefined_scores(limitations: Iterable[Limitation]) -> frozenset[str]:
    """The scores that are undefined whatever the model predicts."""
    settled = (item for one in limitations for item in one.settled.items())
    return frozenset(name for name, value in settled if value == UNDEFINED)


def missing_labels(
    present: Collection[str], labels: Sequence[str], settled: Mapping[str, str]
) -> list[Limitation]:
    """The limitation that some labels of a model do not occur; an empty list if all occur."""
    missing = [label for label in labels if label not in present]
    if not missing:
        return []
    verb = "does" if len(missing) == 1 else "do"
    fact = f"{len(missing):,} of the {counted(len(labels), 'label')} {verb} not occur: {listed(missing)}"
    return [Limitation(fact, settled)]


def equal_scores(worst: Mapping[str, float | None], best: Mapping[str, float | None]) -> dict[str, str]:
    """The scores, with their values, that are equal for the worst and the best possible predictions."""
    return {
        name: UNDEFINED if value is None else f"{value:.4g}"
        for name, value in best.items()
        if _is_same(value, worst[name])
    }


def _is_same(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is other
    return math.isclose(one, other, rel_tol=1e-9)  # sums in a different order round differently


def _values(settled: Mapping[str, str]) -> str:
    """The scores grouped by value: "mcc is 0; roc_auc and log_loss are undefined"."""
    names: dict[str, list[str]] = {}
    for name, value in settled.items():
        names.setdefault(value, []).append(name)
    return "; ".join(
        f"{same[0]} is {value}" if len(same) == 1 else f"{', '.join(same[:-1])} and {same[-1]} are {value}"
        for value, same in names.items()
    )
