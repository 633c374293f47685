"""The top of the page: model, data and task, the primary score, and the facts that put it in context."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bertune.errors import counted, plural
from bertune.manifest import ManifestRecord
from bertune.manifest.data import SplitRecord
from bertune.manifest.details import BaselineRecord
from bertune.reporting.curves import Curves
from bertune.reporting.recorded import (
    final_details,
    final_split,
    model_of,
    row_noun,
    scored,
    scores_of,
    splits_of,
    training_of,
)
from bertune.reporting.verdict import simple_verdict
from bertune.reporting.wording import (
    count,
    decimal,
    duration,
    interval,
    magnitude,
    real,
    score_name,
    score_title,
    visible,
)


@dataclass(frozen=True)
class Headline:
    """The primary score, the data it was measured on, and facts that put it in context."""

    name: str
    value: str
    interval: str
    on: str
    facts: list[tuple[str, str]]

    @property
    def is_number(self) -> bool:
        """Whether `value` is a number, which the page sets in large type."""
        return self.value[-1:].isdigit()


def subtitle(manifest: ManifestRecord) -> str:
    """Encoder, task and training data in one sentence."""
    model = model_of(manifest)
    train = splits_of(manifest).get("train", SplitRecord())
    weights = {"random": "random weights", "pretrained": "pretrained"}.get(model.weights or "", "")
    size = f"{magnitude(model.parameters)} parameters" if model.parameters else ""
    known = ", ".join(part for part in (weights, size) if part)
    encoder = (model.name or "an encoder") + (f" ({known})" if known else "")
    texts = f" on {counted(train.rows, row_noun(manifest))}" if train.rows else ""
    source = f" from {manifest.source}" if manifest.source else ""
    task = f" for {manifest.task.replace('_', ' ')}" if manifest.task else ""
    return visible(f"{encoder}, fine-tuned{task}{texts}{source}")


def created(manifest: ManifestRecord) -> str:
    """The date of the run: `21 November 2026, 00:10 UTC`."""
    recorded = manifest.created or ""
    try:
        moment = datetime.fromisoformat(recorded)
    except ValueError:
        return recorded
    zone = moment.tzname() or ""
    return f"{moment.day} {moment:%B %Y, %H:%M} {zone}".strip()


def headline(manifest: ManifestRecord, curves: Curves | None) -> Headline:
    """The primary score on the final split; for an unfinished run, the best validation score so far."""
    split = final_split(manifest)
    primary = manifest.primary or ""
    found = (_kept(manifest), _trained(manifest, curves), _refitted(manifest))
    facts = [fact for fact in found if fact]
    if split is None:
        return _so_far(manifest, curves, facts)
    on = _on(manifest, split)
    if split == "validation":
        # The maximum over several evaluations of the same split is biased upwards.
        on += ", which also selected the checkpoint: expect a slightly lower score on new data"
    value = scores_of(manifest, split).get(primary)
    simple = simple_verdict(manifest)
    simple_facts = [("Simple models", simple)] if simple else []
    facts = [*decision_facts(manifest), *_beside(manifest, split, primary), *simple_facts, *facts]
    return Headline(score_title(primary), _value(value), interval(value), on, facts)


def decision_facts(manifest: ManifestRecord) -> list[tuple[str, str]]:
    """The share of texts that the model answers without review, and the calibration of its probabilities."""
    facts = []
    rule, scaling = manifest.decision, manifest.calibration
    if rule is not None and rule.sentence:
        facts.append(("Decisions", visible(rule.sentence)))
        measured = (rule.measured or {}).get("sentence")
        if isinstance(measured, str):
            first = " with the first model" if manifest.refit is not None else ""
            facts.append((f"Decisions on {(rule.measured or {}).get('split')}{first}", visible(measured)))
    if scaling is not None and scaling.before is not None and scaling.after is not None:
        where = (
            f"on the {scaling.split} {plural(row_noun(manifest))}" if scaling.split else "on the same rows"
        )
        text = (
            f"expected calibration error {decimal(scaling.after.ece)} {where}, {decimal(scaling.before.ece)} "
            f"without temperature scaling, which was fitted to {counted(scaling.rows or 0, 'row')} of "
            f"{scaling.source}"
        )
        facts.append(("Calibration", visible(text)))
    return facts


def _so_far(manifest: ManifestRecord, curves: Curves | None, facts: list[tuple[str, str]]) -> Headline:
    kept = curves.kept_evaluation if curves else None
    primary = manifest.primary or ""
    if kept is None or real(kept.scores.get(primary)) is None:
        on = "the run has not been evaluated"
        return Headline(score_title(primary) or "score", "none yet", "", on, facts)
    on = f"best so far, {_on(manifest, 'validation')} at step {count(kept.step)}"
    return Headline(score_title(primary), _value(kept.scores[primary]), "", on, facts)


def _value(value: Any) -> str:
    return decimal(value) if real(value) is not None else "undefined"


def _on(manifest: ManifestRecord, split: str) -> str:
    size = scored(manifest, split)
    return f"on {counted(size[0], f'{split} {size[1]}')}" if size else f"on the {split} data"


def _beside(manifest: ManifestRecord, split: str, primary: str) -> list[tuple[str, str]]:
    """The validation score if the headline is the test score, and the score of a trivial baseline."""
    facts = []
    validation = scores_of(manifest, "validation").get(primary)
    if split != "validation" and real(validation) is not None:
        size = scored(manifest, "validation")
        on = f" on {counted(*size)}" if size else ""
        text = f"{score_name(primary)} {decimal(validation)}{on}"
        facts.append(("Validation", text))
    baseline = final_details(manifest)[1].baseline or BaselineRecord()
    score = baseline.score or ""
    reached = scores_of(manifest, split).get(score)
    if real(reached) is not None and real(baseline.value) is not None:
        text = (
            f"{score_name(score)} {decimal(baseline.value)} ({baseline.how}); this model: {decimal(reached)}"
        )
        facts.append(("Baseline", visible(text)))
    return facts


def _refitted(manifest: ManifestRecord) -> tuple[str, str] | None:
    record = manifest.refit
    if record is None:
        return None
    return (
        "Saved model",
        f"trained again for {counted(record.steps, 'step')} on all {count(record.rows)} training and "
        "validation rows. The scores on this page belong to the first model",
    )


def _kept(manifest: ManifestRecord) -> tuple[str, str] | None:
    training = training_of(manifest)
    best = training.best
    if best is None or not best.step:
        return None
    score = best.score or manifest.primary or "score"
    is_lower_better = "loss" in score if best.lower_is_better is None else best.lower_is_better
    order = "lowest" if is_lower_better else "highest"
    epoch = f" (epoch {decimal(best.epoch, 1)})" if real(best.epoch) is not None else ""
    total = f" of {count(training.total_steps)}" if training.total_steps else ""
    value = f" ({decimal(best.value)})" if real(best.value) is not None else ""
    if best.top_step not in (None, best.step):
        top = f"{decimal(best.top_value)} at step {count(best.top_step)}"
        why = f"the {order}, {top}, is within the noise"
        if best.top_value == best.value:
            why = f"the same as at step {count(best.top_step)}"
        return (
            "Selected checkpoint",
            f"step {count(best.step)}{total}{epoch}, validation {score_name(score)}{value}; {why}",
        )
    return (
        "Best checkpoint",
        f"step {count(best.step)}{total}{epoch}, {order} validation {score_name(score)}{value}",
    )


def _trained(manifest: ManifestRecord, curves: Curves | None) -> tuple[str, str] | None:
    training = training_of(manifest)
    done = training.steps_done or (curves.steps[-1] if curves else None)
    if not done:
        return None
    total, per_epoch = training.total_steps, training.steps_per_epoch
    text = f"{count(done)} of {count(total)} steps" if total and done != total else counted(done, "step")
    if per_epoch:
        epochs = f"{done / per_epoch:.3g}"
        text += f" ({epochs} epoch{'' if epochs == '1' else 's'})"
    if training.stopped_early:
        text += ", stopped early: no further improvement on validation"
    seconds = (manifest.timings or {}).get("train_seconds")
    device = (manifest.machine or {}).get("device")
    return "Training", text + (f", {duration(seconds)}" if seconds else "") + (
        f" on {device}" if device else ""
    )
