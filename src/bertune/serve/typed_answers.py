"""Answers to the typed questions of System One, with the decisions of the model's decision rule."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from bertune.errors import listed
from bertune.metrics.decisions import ANSWER, REVIEW
from bertune.serve.refusals import Invalid
from bertune.tasks import FittedTask, Output
from bertune.text.sequences import Sequence

Probabilities = Mapping[str, float]  # probability of each label of the model


def with_probabilities(
    fitted: FittedTask, outputs: list[Output], sequences: list[Sequence], example: Any
) -> tuple[Any, Any]:
    """The prediction for an example, and the probabilities of all labels [C]."""
    prediction = fitted.decode(outputs, sequences, example)
    return prediction, fitted.decode_probabilities(outputs, sequences, example)


def decided(answer: dict[str, Any], prediction: Any, plan: Any) -> dict[str, Any]:
    """The answer, with the key "decision" if the model has a decision rule.

    The rule is about the label that the model predicts among all of its labels, so an answer that names
    another label, because the question has fewer options, is marked for review.
    """
    decision = getattr(prediction, "decision", None)
    if decision is None:
        return answer
    named = [label for label in plan.args if isinstance(label, str)] if isinstance(plan, partial) else []
    reviewed = getattr(prediction, "review_labels", None)
    if reviewed is not None:  # several labels can apply, and each has its own decision
        decision = REVIEW if set(named) & set(reviewed) else ANSWER
    elif answer["type"] == "choice" and answer["choice"] != prediction.label:
        decision = REVIEW
    elif answer["type"] == "score":
        levels: list[str] = plan.args[0]
        best = max(range(len(levels)), key=lambda level: answer["probabilities"][str(level)])
        decision = decision if levels[best] == prediction.label else REVIEW
    return {**answer, "decision": decision}


def noul(yes: str | None, no: str | None, probabilities: Probabilities) -> dict[str, Any]:
    """The probability that `yes` applies, and not `no`; None for "any other label"."""
    if yes is None:
        assert no is not None
        return {"type": "noul", "noul": 1 - probabilities[no]}
    chance = probabilities[yes] if no is None else _shares([yes, no], probabilities)[0]
    return {"type": "noul", "noul": chance}


def choice(options: list[str], probabilities: Probabilities) -> dict[str, Any]:
    """The most probable option."""
    shares, num = _shares(options, probabilities), len(options)
    best = max(shares)
    confidence = 1.0 if num == 1 else max(0.0, (best - 1 / num) / (1 - 1 / num))
    by_option = dict(zip(options, shares, strict=True))
    chosen = options[shares.index(best)]
    return {"type": "choice", "choice": chosen, "confidence": confidence, "probabilities": by_option}


def score(levels: list[str], criteria: list[Any], probabilities: Probabilities) -> dict[str, Any]:
    """The expected level, from 0."""
    shares, num = _shares(levels, probabilities), len(levels)
    best = shares.index(max(shares))
    distance = sum(share * abs(level - best) for level, share in enumerate(shares))
    of_uniform = sum(abs(level - (num - 1) / 2) for level in range(num)) / num
    return {
        "type": "score",
        "score": sum(level * share for level, share in enumerate(shares)),
        "legend": {str(level): criterion for level, criterion in enumerate(criteria)},
        "confidence": 1.0 if num == 1 else max(0.0, 1 - distance / of_uniform),
        "probabilities": {str(level): share for level, share in enumerate(shares)},
    }


def _shares(options: list[str], probabilities: Probabilities) -> list[float]:
    """The probabilities of some labels, given that one of them applies. Raises Invalid."""
    total = sum(probabilities[option] for option in options)
    if not total:
        raise Invalid(f"the probabilities of {listed(options)} are all 0")
    return [probabilities[option] / total for option in options]
