"""Training curves as plain series: losses, epochs, evaluations, and the onset of overfitting."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any

from bertune.files import JsonObject
from bertune.manifest import ManifestRecord
from bertune.manifest.training import BestRecord
from bertune.reporting.recorded import training_of
from bertune.reporting.table import Cell, PageTable
from bertune.reporting.wording import count, decimal, duration, real, score_name

NOT_SCORES = {"loss", "seconds", "train_loss", "is_best"}
RISE = 1.01  # a validation loss less than 1% above its minimum may be noise
POINTS = 400  # more cannot be distinguished in a figure
NAN = math.nan


@dataclass(frozen=True)
class EvaluationPoint:
    """One evaluation on the validation split."""

    step: int
    epoch: float | None
    train_loss: float | None  # mean since the previous evaluation
    loss: float | None
    scores: dict[str, Any]
    seconds: float | None


@dataclass(frozen=True)
class Epoch:
    """The mean training loss of one epoch, and its first and last step."""

    number: int
    first: int
    last: int
    loss: float
    is_whole: bool


@dataclass(frozen=True)
class Curves:
    """The learning curves of a run; values that were not finite are NaN, which is drawn as a gap."""

    steps: list[int]
    losses: list[float]
    lrs: list[float]
    epochs: list[Epoch]
    evaluations: list[EvaluationPoint]
    kept: int | None  # step of the best checkpoint
    primary: str

    @property
    def first_not_finite(self) -> int | None:
        """The first step whose loss was not finite."""
        return next((s for s, loss in zip(self.steps, self.losses, strict=True) if math.isnan(loss)), None)

    @property
    def kept_evaluation(self) -> EvaluationPoint | None:
        """The evaluation of the best checkpoint."""
        return next((e for e in self.evaluations if e.step == self.kept), None)

    @property
    def overfitting(self) -> EvaluationPoint | None:
        """The evaluation after which the validation loss rises while the training loss keeps falling."""
        known = [e for e in self.evaluations if e.loss is not None and e.train_loss is not None]
        if len(known) < 2:
            return None
        lowest = min(known, key=lambda e: e.loss or 0.0)
        last = known[-1]
        rises = (last.loss or 0.0) > RISE * (lowest.loss or 0.0)
        falls = (last.train_loss or 0.0) < (lowest.train_loss or 0.0)
        return lowest if rises and falls and last is not lowest else None

    @property
    def score_series(self) -> dict[str, list[tuple[int, float]]]:
        """Up to four validation scores between -1 and 1, starting with the checkpoint-selection metric."""
        keys = dict.fromkeys(key for e in self.evaluations for key in e.scores if "loss" not in key)
        ordered = sorted(keys, key=lambda key: key != self.primary)
        series = {key: [(e.step, real(e.scores.get(key))) for e in self.evaluations] for key in ordered}
        finite = {key: [(s, v) for s, v in points if v is not None] for key, points in series.items()}
        shown = {
            key: points for key, points in finite.items() if points and max(abs(v) for _, v in points) <= 1
        }
        return dict(list(shown.items())[:4])


def read_curves(lines: Sequence[JsonObject], manifest: ManifestRecord) -> Curves | None:
    """The curves in metrics.jsonl; None if there are no steps."""
    lines = [line for line in lines if isinstance(line.get("step"), int)]
    if not lines:
        return None
    losses = [_or_nan(line.get("loss")) for line in lines]
    evaluations = _evaluations(lines, losses)
    steps = [line["step"] for line in lines]
    best = training_of(manifest).best or BestRecord()
    kept = best.step
    marked = [line["step"] for line in lines if (line.get("validation") or {}).get("is_best")]
    return Curves(
        steps=steps,
        losses=losses,
        lrs=[_or_nan(line.get("lr")) for line in lines],
        epochs=_epochs(lines, losses),
        evaluations=evaluations,
        # A recorded step beyond the last one would stretch the axis without limit.
        kept=kept if kept in steps else (marked[-1] if marked else None),
        primary=best.score or manifest.primary or "",
    )


def _evaluations(lines: Sequence[JsonObject], losses: Sequence[float]) -> list[EvaluationPoint]:
    evaluations: list[EvaluationPoint] = []
    since = 0
    for index, line in enumerate(lines):
        result = line.get("validation")
        if not isinstance(result, dict):
            continue
        recorded = result.get("train_loss", _mean(losses[since : index + 1]))
        scores = {key: value for key, value in result.items() if key not in NOT_SCORES}
        loss, seconds = real(result.get("loss")), real(result.get("seconds"))
        evaluations.append(
            EvaluationPoint(line["step"], real(line.get("epoch")), real(recorded), loss, scores, seconds)
        )
        since = index + 1
    return evaluations


def _epochs(lines: Sequence[JsonObject], losses: Sequence[float]) -> list[Epoch]:
    numbered = [
        (math.ceil(epoch - 1e-6), epoch, line["step"], loss)
        for line, loss in zip(lines, losses, strict=True)
        if (epoch := real(line.get("epoch"))) is not None
    ]
    epochs = []
    for number, group in groupby(numbered, key=lambda item: item[0]):
        members = list(group)
        is_whole = members[-1][1] > number - 1e-3
        mean = _mean([loss for *_, loss in members])
        epochs.append(Epoch(number, members[0][2], members[-1][2], mean, is_whole))
    return epochs


def smoothed(values: Sequence[float]) -> list[float]:
    """A centred moving average over about 2% of the values; NaNs remain gaps."""
    reach = len(values) // 100
    sums = list(accumulate((0.0 if math.isnan(v) else v for v in values), initial=0.0))
    counts = list(accumulate((not math.isnan(v) for v in values), initial=0))
    return [
        NAN
        if math.isnan(value)
        else (sums[min(i + reach + 1, len(values))] - sums[max(0, i - reach)])
        / (counts[min(i + reach + 1, len(values))] - counts[max(0, i - reach)])
        for i, value in enumerate(values)
    ]


def thinned(values: Sequence[Any], most: int = POINTS) -> list[Any]:
    """At most `most` evenly spaced values, always including the last."""
    stride = -(-len(values) // most)
    return list(values[::-1][::stride][::-1]) if stride > 1 else list(values)


def evaluation_table(curves: Curves) -> PageTable | None:
    """One row per evaluation with its losses, scores and time."""
    if not curves.evaluations:
        return None
    recorded = dict.fromkeys(key for e in curves.evaluations for key in e.scores)
    keys = [key for key in recorded if any(real(e.scores.get(key)) is not None for e in curves.evaluations)]
    headings = ["", "step", "epoch", "training loss", "validation loss", *map(score_name, keys), "seconds"]
    rows = [
        [
            Cell("best" if e.step == curves.kept else ""),
            Cell(count(e.step), is_header=True),
            Cell(decimal(e.epoch, 2)),
            Cell(decimal(e.train_loss)),
            Cell(decimal(e.loss)),
            *[Cell(decimal(e.scores.get(key))) for key in keys],
            Cell(duration(e.seconds).removesuffix(" s")),
        ]
        for e in curves.evaluations
    ]
    kept = next((i for i, e in enumerate(curves.evaluations) if e.step == curves.kept), None)
    return PageTable("evaluations", headings, rows, marked=kept)


def _or_nan(value: Any) -> float:
    number = real(value)
    return NAN if number is None else number


def _mean(values: Sequence[float]) -> float:
    finite = [value for value in values if not math.isnan(value)]
    return math.fsum(finite) / len(finite) if finite else NAN
