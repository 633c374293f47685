"""Decision rules in one sentence, for readers who do not know the method."""

from collections.abc import Mapping, Sequence
from typing import Any

from bertune.config import DecideConfig
from bertune.errors import counted, plural
from bertune.metrics.decisions import DecisionRule, Fit
from bertune.tasks import FittedTask


def percent(share: float) -> str:
    """A share in percent with three significant digits; only all is 100%."""
    rounded = f"{100 * share:.3g}"
    return "more than 99.9%" if rounded == "100" and share < 1 else f"{rounded}%"


def verb_of(fitted: FittedTask) -> str:
    """The verb for accepted predictions: rows are answered, parts of rows are decided."""
    return "answer" if fitted.answer_noun == fitted.task.noun else "decide"


def sentence_of(
    fitted: FittedTask, config: DecideConfig, fits: Mapping[str, Fit], share: float, needed: int | None
) -> str:
    """The rule in one sentence for readers who do not know the method, and what it does not cover."""
    nouns, verb = plural(fitted.answer_noun), verb_of(fitted)
    answered = sum(fit.answered for fit in fits.values())
    of_answers = answered / max(1, sum(fit.num for fit in fits.values()))
    if config.max_error is None:
        assert config.abstain_below is not None
        below = f"Predictions with a probability below {config.abstain_below:g} are marked for review:"
        if not answered:
            return f"{below} on the calibration rows, these are all {nouns}."
        wrong = sum(fit.wrong for fit in fits.values()) / answered
        return (
            f"{below} the model can {verb} {percent(of_answers)} of the {nouns} without review, and "
            f"{percent(wrong)} of these answers were wrong on the calibration rows (this is an observation, "
            "not a guarantee)."
        )
    bound = f"with {percent(config.confidence)} confidence, at most {percent(config.max_error)} of"
    accepted = [question for question, fit in fits.items() if fit.threshold is not None]
    if not accepted:
        more = (
            "The error rate is too high even among the most confident predictions, so more labelled "
            "examples will not help: improve the model, or set a higher decide.max_error."
            if needed is None
            else f"Probably about {needed:,} more labelled examples are needed."
        )
        return (
            f"The model cannot {verb} any of the {nouns} without review: for no share of them could it be "
            f"shown that, {bound} the answers are wrong. {more}"
        )
    limits = f" {fitted.answer_limits}" if fitted.answer_limits else ""
    if len(fits) == 1:
        part = f"all {nouns}" if of_answers == 1 else f"{percent(of_answers)} of the {nouns}"
        rest = f" The other {percent(1 - of_answers)} are marked for review." if of_answers < 1 else ""
        is_whole = verb == "answer"
        also = "" if is_whole else f" {_reviewed(fitted, share)} at least one that is marked for review."
        return (
            f"The model can {verb} {part} without review: {bound} these answers are wrong."
            f"{rest}{also}{limits}"
        )
    example = f'such as "{accepted[0]}"'
    reviewed = f"{_reviewed(fitted, share)} a {fitted.answer_noun} that is marked for review."
    return (
        f"The model can {verb} {percent(of_answers)} of the {nouns} without review, with {len(accepted):,} "
        f"of {len(fits):,} kinds of answers ({example}): for each {fitted.answer_noun}, {bound} these "
        f"answers are wrong. {reviewed}{limits}"
    )


def _reviewed(fitted: FittedTask, share: float) -> str:
    """The rows that are marked for review, and a verb; `share` is the share of the others."""
    if share == 0:
        return f"Every {fitted.task.noun} has"
    return f"{percent(1 - share)} of the {plural(fitted.task.noun)} have"


def sentence_of_folds(fitted: FittedTask, summaries: Sequence[Mapping[str, Any]]) -> str | None:
    """The effect of the rules of several models on the rows held out from each; None without rules.

    `summaries` come from `predict.deciding.summary`.
    """
    if not summaries:
        return None
    total, answered, wrong = (sum(one[key] for one in summaries) for key in ("answers", "answered", "wrong"))
    sentence = (
        "Each fold has a separate decision rule, fitted to rows that its model was not trained on. With "
        f"these rules, {percent(answered / max(1, total))} of {total:,} {plural(fitted.answer_noun)} were "
        f"{past_of(fitted)} without review"
    )
    return sentence + (f"; {percent(wrong / answered)} of these answers were wrong." if answered else ".")


def past_of(fitted: FittedTask) -> str:
    """The verb of `verb_of` in the past."""
    return f"{verb_of(fitted).removesuffix('e')}ed"


def sentence_of_cutoffs(config: DecideConfig, rule: DecisionRule, num_rows: int) -> str:
    """A sentence on the objective by which labels are predicted."""
    if config.objective == "cost":
        return "Labels are predicted so that the expected cost of errors is lowest."
    aim = "the best F1" if config.objective == "f1" else f"{config.objective} of at least {config.target:g}"
    count = len(rule.cutoffs or {})
    rows = counted(num_rows, "calibration row")
    if not count:
        return f"The cutoffs were not changed, because no label occurs in the {rows}."
    return f"The cutoffs of {counted(count, 'label')} were chosen for {aim} on {rows}."
