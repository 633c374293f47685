"""Decision rules in one sentence, for readers who do not know the method."""

from collections.abc import Mapping

from bertune.config import DecideConfig
from bertune.errors import counted, plural
from bertune.metrics.decisions import DecisionRule, Fit
from bertune.tasks import FittedTask


def percent(share: float) -> str:
    """A share in percent with at most two digits after the point."""
    return f"{100 * share:.3g}%"


def sentence_of(
    fitted: FittedTask, config: DecideConfig, fits: Mapping[str, Fit], share: float, needed: int | None
) -> str:
    """The rule in one sentence for readers who do not know the method."""
    nouns = plural(fitted.answer_noun)
    answered = sum(fit.answered for fit in fits.values())
    of_answers = answered / max(1, sum(fit.num for fit in fits.values()))
    rows = plural(fitted.task.noun)
    if config.max_error is None:
        assert config.abstain_below is not None
        wrong = sum(fit.wrong for fit in fits.values()) / max(1, answered)
        return (
            f"Predictions with a probability below {config.abstain_below:g} are marked for review: the "
            f"model answers {percent(of_answers)} of the {nouns} without review, and {percent(wrong)} of "
            "these answers were wrong on the calibration rows (this is an observation, not a guarantee)."
        )
    bound = f"with {percent(config.confidence)} confidence, at most {percent(config.max_error)} of"
    accepted = [question for question, fit in fits.items() if fit.threshold is not None]
    if not accepted:
        more = (
            "and the error rate is too high even among the most confident predictions, so more labelled "
            "examples will not help: improve the model, or set a higher decide.max_error"
            if needed is None
            else f"about {needed:,} more labelled examples would be needed"
        )
        return (
            f"The model cannot answer any of the {nouns} without review: for no share could it be shown "
            f"that, {bound} the answers are wrong; {more}."
        )
    if len(fits) == 1:
        review = 1 - share
        also = "" if fitted.answer_noun == "text" else f" {percent(review)} of all {rows} need review."
        rest = f" The other {percent(1 - of_answers)} are marked for review."
        return (
            f"The model can answer {percent(of_answers)} of the {nouns} without review: {bound} these "
            f"answers are wrong.{rest}{also}"
        )
    return (
        f"The model can decide {percent(of_answers)} of the {nouns} without review ({len(accepted):,} of "
        f"{len(fits):,} kinds of answers): for each label, {bound} these answers are wrong. "
        f"{percent(1 - share)} of all {rows} have a label that is marked for review."
    )


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
