"""Fit the temperature and the decision rule of a model to labelled rows, and apply the rule to others.

Each part of the rows has one use: the temperature, the cutoffs of labels and the thresholds of a guarantee
never use the same rows, and none of them may have selected the checkpoint.
"""

import math
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bertune.config import DecideConfig
from bertune.data.split import divide
from bertune.errors import ConfigError, DataError, counted, plural
from bertune.metrics import decisions
from bertune.metrics.calibration import Calibration, Terms, fit_temperature, measure
from bertune.metrics.decisions import ANSWER, DecisionRule, Fit, Judged
from bertune.metrics.details import curve, table
from bertune.predict.decision_sentences import past_of, percent, sentence_of, sentence_of_cutoffs
from bertune.predict.predictor import Predictor
from bertune.tasks import FittedTask, Output
from bertune.text.sequences import Sequence

_LEAST_TERMS = 50  # texts, words or questions; a temperature of fewer may be worse than none
_MOST_OUTPUTS = 2**26  # in memory at once: 512 MB in fp64
# Shares of the rows for the temperature, the cutoffs and the guarantee, by which of the last two are wanted.
_SHARES = {
    (False, False): (1.0, 0.0, 0.0),
    (True, False): (1 / 3, 2 / 3, 0.0),
    (False, True): (1 / 3, 0.0, 2 / 3),
    (True, True): (1 / 4, 1 / 4, 1 / 2),
}


@dataclass(frozen=True)
class RowOutputs:
    """The outputs of a model for examples, from which predictions can be decoded several times."""

    examples: SequenceOf[Any]
    outputs: list[tuple[list[Output], list[Sequence]]]

    @classmethod
    def of(
        cls, predictor: Predictor, examples: SequenceOf[Any], sequences: SequenceOf[Sequence]
    ) -> "RowOutputs":
        """Compute the outputs. Raises NonFiniteError."""
        found = predictor(examples, sequences, lambda outputs, own, example: (outputs, own))
        return cls(examples, found.predictions)

    def at(self, positions: SequenceOf[int]) -> "RowOutputs":
        """The outputs of some rows."""
        return RowOutputs([self.examples[i] for i in positions], [self.outputs[i] for i in positions])

    def decoded(self, decode: Any) -> list[Any]:
        """The result of `decode` for each example."""
        return [
            decode(outputs, sequences, example)
            for (outputs, sequences), example in zip(self.outputs, self.examples, strict=True)
        ]

    def __len__(self) -> int:
        return len(self.examples)


@dataclass(frozen=True)
class Decided:
    """A fitted task with its temperature and decision rule, and what to report about them as plain JSON."""

    fitted: FittedTask
    calibration: dict[str, Any] | None
    decision: dict[str, Any] | None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    @property
    def keeps_temperature(self) -> bool:
        """Whether the model keeps an earlier temperature, which no record describes."""
        return self.calibration is None and self.fitted.calibration is not None


def refuse_unsuited(config: DecideConfig, fitted: FittedTask) -> None:
    """Raise ConfigError for targets that do not apply to a task."""
    if (config.max_error is not None or config.abstain_below is not None) and fitted.judged is None:
        key = "max_error" if config.max_error is not None else "abstain_below"
        raise ConfigError(
            f"decide.{key} needs a task whose predictions are right or wrong and have a probability: "
            "classification, multilabel, token classification, question answering or multiple choice. Remove "
            "the setting"
        )
    if config.objective != "none" and fitted.fit_cutoffs is None:
        raise ConfigError(
            f"decide.objective={config.objective} needs a task that predicts labels of texts: classification "
            "or multilabel. Remove the setting"
        )


def fit_decisions(
    fitted: FittedTask, rows: RowOutputs, config: DecideConfig, seed: int, source: str
) -> Decided:
    """Fit the temperature, and the decision rule if one is wanted, to labelled rows.

    `source` says which rows they are. A temperature that `fitted` already has is replaced, unless the rows
    are too few to fit one. Raises ConfigError for a target that does not apply to the task, and DataError
    for too few rows.
    """
    config.refuse_contradictions()
    refuse_unsuited(config, fitted)
    shares = _SHARES[
        config.objective != "none", config.max_error is not None or config.abstain_below is not None
    ]
    if config.has_target and len(rows) < 2 * sum(share > 0 for share in shares):
        least = 2 * sum(share > 0 for share in shares)
        raise DataError(
            f"{source}: {counted(len(rows), 'row')} are too few to fit a decision rule. At least {least} are "
            "needed, and a guarantee needs hundreds. Use more labelled rows"
        )
    task = fitted.task
    keys = [task.group_key(e) for e in rows.examples]
    parts = divide(keys, [task.stratify_key(e) for e in rows.examples], shares, seed)
    of_temperature, of_cutoffs, of_guarantee = (rows.at(part) for part in parts)
    calibrated, record, notes = _calibrated(replace(fitted, rule=None), of_temperature, config, source)
    if not config.has_target:
        return Decided(calibrated, record, None, notes)
    rule = DecisionRule()
    if len(of_cutoffs):
        chances = np.stack(of_cutoffs.decoded(calibrated.decode_probabilities))
        rule = calibrated.fit_cutoffs(config, chances, of_cutoffs.examples)
    decided = replace(calibrated, rule=rule)
    decision: dict[str, Any] = {
        "rows": {
            "temperature": len(of_temperature),
            "cutoffs": len(of_cutoffs),
            "guarantee": len(of_guarantee),
        },
        "source": source,
        "cutoffs": None if rule.cutoffs is None else dict(rule.cutoffs),
    }
    warnings: tuple[str, ...] = ()
    if len(of_guarantee):
        pilot = of_cutoffs if len(of_cutoffs) else of_temperature
        decided, found, warnings = _with_thresholds(decided, pilot, of_guarantee, config)
        decision |= found
    else:
        decision["sentence"] = sentence_of_cutoffs(config, rule, len(of_cutoffs))
    sentences = () if warnings else (str(decision["sentence"]),)
    return Decided(decided, record, decision, (*notes, *sentences), warnings)


def _calibrated(
    fitted: FittedTask, rows: RowOutputs, config: DecideConfig, source: str
) -> tuple[FittedTask, dict[str, Any] | None, tuple[str, ...]]:
    """The fitted task with a temperature, what to report about it, and notes.

    Without a new temperature, the record is None, and the task keeps an earlier one unless
    `decide.calibration=none`.
    """
    plain = replace(fitted, calibration=None)
    if config.calibration == "none" or plain.calibration_kind is None:
        return plain, None, ()
    terms = terms_of(plain, rows)
    if terms is None or len(terms) < _LEAST_TERMS:
        count = 0 if terms is None else len(terms)
        note = f"not calibrated: {count:,} {fitted.calibration_unit}, at least {_LEAST_TERMS} are needed"
        return fitted, None, (note,)
    calibration = fit_temperature(terms)
    record = {
        "method": "temperature scaling",
        "temperatures": list(calibration.temperatures),
        "rows": len(rows),
        "source": source,
        "before": measure(terms, None).plain(),
        "after": measure(terms, calibration).plain(),
    }
    note = f"calibrated on {counted(len(rows), 'row')}: {_temperatures(calibration)}"
    return replace(plain, calibration=calibration), record, (note,)


def _temperatures(calibration: Calibration) -> str:
    lowest, highest = min(calibration.temperatures), max(calibration.temperatures)
    if lowest == highest:
        return f"temperature {lowest:.3g}"
    return f"temperatures from {lowest:.3g} to {highest:.3g}, one per label"


def terms_of(fitted: FittedTask, rows: RowOutputs) -> Terms | None:
    """The terms of temperature scaling for labelled rows; None if the task has none.

    If they have more than `_MOST_OUTPUTS` outputs, only every k-th row is used.
    """
    kind = fitted.calibration_kind
    if kind is None:
        return None
    found = [pair for pair in rows.decoded(fitted.calibration_terms) if pair is not None]
    step = math.ceil(sum(logits.size for logits, _ in found) / _MOST_OUTPUTS)
    return Terms.of(kind, found[:: max(1, step)])


def _judged(fitted: FittedTask, rows: RowOutputs) -> dict[str, Judged]:
    """The answers to each question in the predictions for labelled rows."""
    predictions = rows.decoded(fitted.decode)
    return judged_by_question(fitted, predictions, rows.examples)


def judged_by_question(
    fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any]
) -> dict[str, Judged]:
    """The answers to each question in predictions. Answers of the same row or group belong together."""
    found: dict[str, list[tuple[float, bool, Any]]] = {}
    for number, (prediction, example) in enumerate(zip(predictions, examples, strict=True)):
        key = fitted.task.group_key(example)
        group = ("row", number) if key is None else ("key", key)
        for question, confidence, is_wrong in fitted.judged(prediction, example):
            found.setdefault(question, []).append((confidence, is_wrong, group))
    return {question: Judged.of(*zip(*answers, strict=True)) for question, answers in found.items()}


_NONE = Judged.of((), (), ())


def _with_thresholds(
    fitted: FittedTask, pilot: RowOutputs, rows: RowOutputs, config: DecideConfig
) -> tuple[FittedTask, dict[str, Any], tuple[str, ...]]:
    """The fitted task with the thresholds of its questions, what to report, and warnings."""
    of_pilot, of_rows = _judged(fitted, pilot), _judged(fitted, rows)
    if not of_rows:
        raise DataError(
            f"none of the {counted(len(rows), 'calibration row')} has a prediction that can be right or "
            "wrong. Use more data"
        )
    # The error probability is shared by the questions that a guarantee covers together (Bonferroni).
    confidence = 1 - (1 - config.confidence) / fitted.questions_together
    fits = {
        question: decisions.applied(judged, config.abstain_below)
        if config.max_error is None
        else decisions.fit_guarantee(of_pilot.get(question, _NONE), judged, config.max_error, confidence)
        for question, judged in of_rows.items()
    }
    assert fitted.rule is not None
    rule = replace(
        fitted.rule,
        thresholds={question: fit.threshold for question, fit in fits.items()},
        max_error=config.max_error,
        confidence=None if config.max_error is None else config.confidence,
    )
    decided = replace(fitted, rule=rule)
    reviewed = [getattr(p, "decision", None) != ANSWER for p in rows.decoded(decided.decode)]
    share = 1 - sum(reviewed) / len(reviewed)
    needed = _examples_needed(fits, len(rows))
    has_groups = any(judged.has_groups for judged in of_rows.values())
    sentence = sentence_of(fitted, config, fits, share, needed)
    if has_groups and config.max_error is not None:
        sentence += " In the test of this bound, the answers of a group of rows, or of one row, count as one."
    record = {
        "max_error": config.max_error,
        "confidence": config.confidence if config.max_error is not None else None,
        "share": share,
        "needed": needed,
        "questions": [_question_record(question, fit, confidence) for question, fit in fits.items()],
        "sentence": sentence,
        "figure": risk_figure(of_rows, rule),
    }
    nothing = config.max_error is not None and all(fit.threshold is None for fit in fits.values())
    return decided, record, (sentence,) if nothing else ()


def _question_record(question: str, fit: Fit, confidence: float) -> dict[str, Any]:
    return {
        "question": question,
        "threshold": fit.threshold,
        "tested": fit.num,
        "groups": fit.num_groups,
        "answered": fit.answered,
        "wrong": fit.wrong,
        "error_bound": decisions.upper_bound(fit.wrong, fit.answered, confidence),
        "needed": fit.needed,
    }


def _examples_needed(fits: Mapping[str, Fit], num_rows: int) -> int | None:
    """How many more labelled rows the question needs that needs the fewest; None if that is not known."""
    if any(fit.threshold is not None for fit in fits.values()):
        return None
    found = [
        round(fit.needed * max(1.0, num_rows / fit.num))
        for fit in fits.values()
        if fit.needed is not None and fit.num
    ]
    return min(found, default=None)


def risk_figure(judged: Mapping[str, Judged], rule: DecisionRule | None) -> dict[str, Any]:
    """The risk-coverage curve over all questions, with the accepted share and error rate as marks."""
    together = Judged.of(
        np.concatenate([one.confidence_U for one in judged.values()]).tolist(),
        np.concatenate([one.is_wrong_U for one in judged.values()]).tolist(),
        range(sum(len(one) for one in judged.values())),
    )
    shares, rates = decisions.risk_by_coverage(together)
    marks = {}
    if rule is not None and rule.thresholds is not None:
        answered = sum(
            int((one.confidence_U >= t).sum())
            for question, one in judged.items()
            if (t := rule.thresholds.get(question)) is not None
        )
        marks = {"answered without review": answered / max(1, len(together))}
    axes = ("share answered, most confident first", "error rate")
    return curve("Error rate by share answered", axes, {"error rate": (shares, rates)}, marks)


def with_decisions(
    details: Mapping[str, Any], fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any]
) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """Details of scores with the table and the figure of the decision rule, and its summary.

    Without a rule that marks predictions for review, the details are unchanged and the summary is None.
    """
    found = summary(fitted, predictions, examples)
    if found is None:
        return dict(details), None
    figure = found.pop("figure")
    tables = [*details.get("tables", []), found.pop("table")]
    figures = [*details.get("figures", []), *([figure] if figure else [])]
    return {**details, "tables": tables, "figures": figures}, found


def summary(
    fitted: FittedTask, predictions: SequenceOf[Any], examples: SequenceOf[Any]
) -> dict[str, Any] | None:
    """The effect of the decision rule on labelled rows; None without a rule that marks for review."""
    rule = fitted.rule
    if rule is None or rule.thresholds is None or fitted.judged is None:
        return None
    judged = judged_by_question(fitted, predictions, examples)
    fits = {
        question: decisions.applied(one, rule.thresholds.get(question)) for question, one in judged.items()
    }
    answered, wrong = sum(fit.answered for fit in fits.values()), sum(fit.wrong for fit in fits.values())
    total = sum(fit.num for fit in fits.values())
    reviewed = sum(getattr(prediction, "decision", None) != ANSWER for prediction in predictions)
    headings = ["answers to", "number", "answered without review", "wrong among these"]
    rows = [
        [
            question or plural(fitted.answer_noun),
            fit.num,
            fit.share,
            fit.wrong / fit.answered if fit.answered else None,
        ]
        for question, fit in fits.items()
    ]
    nouns = plural(fitted.answer_noun)
    share = percent(answered / total) if total else "0%"
    sentence = f"The model {past_of(fitted)} {share} of {total:,} {nouns} without review"
    sentence += f"; {percent(wrong / answered)} of these answers were wrong." if answered else "."
    return {
        "answers": total,
        "answered": answered,
        "wrong": wrong,
        "share": answered / total if total else 0.0,
        "error": wrong / answered if answered else None,
        "review_share": reviewed / max(1, len(predictions)),
        "sentence": sentence,
        "table": table("Decisions", headings, rows, sentence),
        "figure": risk_figure(judged, rule) if judged else None,
    }
