"""Decision rules for labels: which label to predict for a target, given the probabilities of all labels.

Dimensions: N texts, C labels.
"""

from collections.abc import Callable
from collections.abc import Sequence as SequenceOf

import numpy as np

from bertune.config import DecideConfig
from bertune.errors import ConfigError, did_you_mean, listed
from bertune.metrics.arrays import BoolArray, FloatArray
from bertune.metrics.decisions import DecisionRule, best_f1_cutoff, precision_cutoff, recall_cutoff

SIDES = ("no", "yes")  # the answers to whether a label applies to a text
_NEVER = 1.1  # a cutoff that no probability reaches


def fit_label_rule(
    target: DecideConfig,
    probabilities_NC: FloatArray,
    gold: SequenceOf[str | None],
    labels: tuple[str, ...],
    positive: int,
) -> DecisionRule:
    """The rule for exactly one label per text: a cutoff of the positive one of two labels, or costs.

    Raises ConfigError for a target that does not apply.
    """
    if target.objective == "cost":
        return DecisionRule(costs=_cost_matrix(target.costs or {}, labels))
    if len(labels) > 2:
        raise ConfigError(
            f"decide.objective={target.objective} chooses the cutoff of one of two labels, but this model "
            f"has {len(labels)}. Set decide.objective=cost with decide.costs, or decide.max_error"
        )
    is_positive_N = np.array([label == labels[positive] for label in gold])
    cutoff = _cutoff(target, labels[positive], probabilities_NC[:, positive], is_positive_N)
    return DecisionRule(cutoffs={labels[positive]: cutoff})


def fit_labels_rule(
    target: DecideConfig, probabilities_NC: FloatArray, gold_NC: BoolArray, labels: tuple[str, ...]
) -> DecisionRule:
    """The rule for any number of labels per text: a cutoff for each. Raises ConfigError.

    Labels that do not occur in the rows keep task.threshold.
    """
    if target.objective == "cost":
        return DecisionRule(cutoffs=_cost_cutoffs(target.costs or {}, labels))
    cutoffs = {
        label: _cutoff(target, label, probabilities_NC[:, i], gold_NC[:, i])
        for i, label in enumerate(labels)
        if gold_NC[:, i].any()
    }
    return DecisionRule(cutoffs=cutoffs)


def chosen_by_rule(
    rule: DecisionRule, probabilities: SequenceOf[float] | FloatArray, labels: tuple[str, ...]
) -> int:
    """The index of the label to predict: that with the lowest expected cost (Elkan 2001), or by its
    cutoff."""
    if rule.costs is not None:
        return int((np.asarray(probabilities) @ np.array(rule.costs)).argmin())
    assert rule.cutoffs is not None
    ((label, cutoff),) = rule.cutoffs.items()
    positive = labels.index(label)
    return positive if probabilities[positive] >= cutoff else 1 - positive


def _cutoff(target: DecideConfig, label: str, chance_N: FloatArray, gold_N: BoolArray) -> float:
    """The cutoff of a label for the target. Raises ConfigError without texts that have the label."""
    if not gold_N.any():
        raise ConfigError(
            f'decide.objective={target.objective}: no text of the calibration data has the label "{label}". '
            "Use data in which it occurs"
        )
    if target.objective == "f1":
        found = best_f1_cutoff(chance_N, gold_N)
    else:
        assert target.target is not None, "validated with the settings"
        of_target: Callable[[FloatArray, BoolArray, float], float | None] = (
            precision_cutoff if target.objective == "precision" else recall_cutoff
        )
        found = of_target(chance_N, gold_N, target.target)
    # Without a cutoff that reaches the precision, the label is never predicted: no prediction is wrong.
    return _NEVER if found is None else found


def _cost_matrix(costs: dict[str, float], labels: tuple[str, ...]) -> tuple[tuple[float, ...], ...]:
    """The costs [gold][predicted]; 0 on the diagonal and 1 unless given. Raises ConfigError."""
    matrix = 1.0 - np.eye(len(labels))
    for pair, cost in costs.items():
        gold, arrow, predicted = pair.partition(">")
        names = (gold.strip(), predicted.strip())
        unknown = next((name for name in names if name not in labels), None)
        if not arrow or unknown is not None:
            raise ConfigError(
                f'decide.costs: "{pair}" must be GOLD>PREDICTED with two labels of the model.'
                f"{did_you_mean(unknown or pair, labels)} Labels: {listed(list(labels))}"
            )
        matrix[labels.index(names[0]), labels.index(names[1])] = cost
    return tuple(tuple(map(float, row)) for row in matrix)


def _cost_cutoffs(costs: dict[str, float], labels: tuple[str, ...]) -> dict[str, float]:
    """The cutoff of each label at which both errors are equally expensive. Raises ConfigError.

    "missed" and "wrong" are the costs of errors of all labels, "missed LABEL" and "wrong LABEL" of one.
    """
    known = {kind: {"": 1.0} for kind in ("missed", "wrong")}
    for name, cost in costs.items():
        kind, _, label = name.partition(" ")
        if kind not in known or (label and label not in labels):
            raise ConfigError(
                f'decide.costs: "{name}" must be missed, wrong, missed LABEL or wrong LABEL.'
                f"{did_you_mean(label or name, labels)} Labels: {listed(list(labels))}"
            )
        known[kind][label] = cost
    cutoffs = {}
    for label in labels:
        missed, wrong = (known[kind].get(label, known[kind][""]) for kind in ("missed", "wrong"))
        cutoffs[label] = wrong / (wrong + missed)
    return cutoffs
