"""Temperature scaling, and measures of calibration before and after it.

Temperature scaling (Guo et al. 2017) divides the outputs of a model by a number that minimizes the log loss
on data that the model was not trained on. It never changes which label of a softmax is the most probable, nor
whether a sigmoid exceeds 0.5. Dimensions: N terms (texts, words, questions), C labels or choices.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from bertune.metrics.details import bin_sums, calibration_of, table

FloatArray = NDArray[np.float64]
Kind = Literal["softmax", "sigmoid", "top"]

# Beyond these, probabilities are 0 and 1, or all equal, whatever the output.
LOWEST, HIGHEST = 0.05, 20.0
# A label with fewer examples with or without it gets the temperature of all labels together.
LEAST_PER_LABEL = 20
# The strength of the prior of an inverse temperature: a gamma distribution with a standard deviation of about
# 0.5 in the logarithm. It keeps few rows from a temperature that only fits their noise.
PRIOR = 4.0
_HALVINGS = 50  # bisection steps, more than the precision of a double needs
_TRIED = 400  # temperatures, 1.5% apart, where the loss may have several minima
_CELLS = 2**21  # outputs that are exponentiated at once


@dataclass(frozen=True)
class Calibration:
    """The temperatures of a model: one for all of its outputs, or one per label."""

    temperatures: tuple[float, ...]

    def scaled(self, outputs: NDArray[Any]) -> FloatArray:
        """Outputs [..., C], divided by their temperatures, in fp64."""
        scaled: FloatArray = np.asarray(outputs, np.float64) / np.array(self.temperatures)
        return scaled

    def remaining(self, folded: "OutputScale | None") -> list[float]:
        """The temperatures that still apply to the outputs of a layer that contains the scale `folded`."""
        if folded is None:
            return list(self.temperatures)
        if folded == OutputScale.of(self):
            return [1.0]
        left: list[float] = (np.array(self.temperatures) * np.array(folded.factors)).tolist()
        return left


@dataclass(frozen=True)
class OutputScale:
    """The map that is part of the output layer of a saved model: offset + factor * output."""

    offset: float
    factors: tuple[float, ...]  # one for all outputs, or one for each

    @classmethod
    def of(cls, calibration: Calibration) -> "OutputScale":
        """The scale that divides outputs by the temperatures of a calibration."""
        return cls(0.0, tuple(1 / value for value in calibration.temperatures))


def note_for_other_libraries(remaining: Sequence[float]) -> str:
    """How other libraries get calibrated probabilities from outputs with these remaining temperatures."""
    if set(remaining) == {1.0}:
        return (
            "The logits are calibrated: the output layer divides them by the temperature, so that other "
            "libraries, such as transformers, give the probabilities of bertune. `bertune decide` can change "
            "the temperature later; `remaining_temperatures` in `bertune.json` then has the divisor left."
        )
    several = ", ".join(f"{value:.6g}" for value in remaining)
    by = f"by {several}" if len(remaining) == 1 else f"by the temperatures of the labels, {several}"
    return (
        "Other libraries, such as transformers, give the calibrated probabilities of bertune if the logits "
        f"are divided {by}, before softmax or sigmoid."
    )


@dataclass(frozen=True)
class Terms:
    """The data to which a temperature is fitted: outputs of a model before softmax or sigmoid, and the gold.

    The kind "top" is a softmax over candidates among which the right one may be missing. Only the probability
    of the first one, the prediction, is calibrated.
    """

    kind: Kind
    logits_NC: FloatArray  # -inf for choices that a question does not have
    # [N] positions for softmax; [N, C] of 0 and 1 for sigmoid; [N] for top: 1 if the first one is right
    gold: NDArray[np.int64]

    @classmethod
    def of(cls, kind: Kind, pairs: Sequence[tuple[NDArray[Any], NDArray[np.int64]]]) -> "Terms":
        """Join the terms of examples: logits [K, C] and gold of each; C may differ between examples."""
        width = max((logits.shape[1] for logits, _ in pairs), default=0)
        rows = [
            np.pad(
                np.asarray(logits, np.float64),
                ((0, 0), (0, width - logits.shape[1])),
                constant_values=-np.inf,
            )
            for logits, _ in pairs
        ]
        gold = [np.asarray(gold, np.int64) for _, gold in pairs]
        empty = np.zeros((0, width)), np.zeros((0, width) if kind == "sigmoid" else 0, np.int64)
        return cls(kind, *((np.concatenate(rows), np.concatenate(gold)) if pairs else empty))

    def __len__(self) -> int:
        return len(self.logits_NC)

    def probabilities(self, calibration: Calibration | None) -> FloatArray:
        """The probabilities [N, C]."""
        logits_NC = self.logits_NC if calibration is None else calibration.scaled(self.logits_NC)
        return _sigmoid(logits_NC) if self.kind == "sigmoid" else _softmax(logits_NC)


MOST_TERMS = 2**25  # outputs whose calibration is measured: 256 MB in fp64
MEASURES = ("ece", "brier")  # that quality gates can limit; the log loss is already a score


@dataclass(frozen=True)
class Measured:
    """How well probabilities match frequencies; lower is better."""

    ece: float  # expected calibration error in 10 bins of equal width
    brier: float  # mean squared error of the probabilities, summed over the choices of a softmax
    log_loss: float
    bins_3B: FloatArray  # as returned by metrics.details.bin_sums

    def plain(self) -> dict[str, float]:
        return {"ece": self.ece, "brier": self.brier, "log_loss": self.log_loss}


def fit_temperature(terms: Terms, prior: float = PRIOR) -> Calibration:
    """The temperatures of highest posterior probability, which minimize the log loss plus a penalty.

    The penalty of an inverse temperature b is prior * (b - log b), the negative logarithm of a gamma density
    with its mode at 1. So the temperature is 1 without terms, close to 1 if they are few, finite if all
    predictions are right, and that of the lowest log loss if they are many.

    There is one temperature for softmax and top, and one per label for sigmoid. The prior of a label has its
    mode at the temperature of all labels together, which is also that of labels with fewer than
    LEAST_PER_LABEL examples with or without them.
    """
    if not len(terms):
        return Calibration((1.0,))
    if terms.kind == "top":
        candidates = np.geomspace(LOWEST, HIGHEST, _TRIED)
        losses = [_top_loss(terms, float(temperature), prior) for temperature in candidates]
        return Calibration((float(f"{candidates[int(np.argmin(losses))]:.6g}"),))
    if terms.kind == "softmax":
        return Calibration((_bisected(lambda beta: _softmax_slope(terms, float(beta[0])), 1, prior)[0],))
    with_C = terms.gold.sum(axis=0)
    without_C = len(terms) - with_C
    is_frequent_C = np.minimum(with_C, without_C) >= LEAST_PER_LABEL

    def slope(beta_C: FloatArray) -> FloatArray:
        off_NC = _sigmoid(terms.logits_NC * beta_C) - terms.gold
        slope_C: FloatArray = (terms.logits_NC * off_NC).sum(axis=0)
        return slope_C

    shared = _bisected(lambda beta: slope(beta).sum(keepdims=True), 1, prior)[0]
    of_labels = _bisected(slope, terms.logits_NC.shape[1], prior, 1 / shared)
    return Calibration(
        tuple(
            own if is_frequent else shared for own, is_frequent in zip(of_labels, is_frequent_C, strict=True)
        )
    )


def measure(terms: Terms, calibration: Calibration | None) -> Measured:
    """ECE, Brier score and log loss of the probabilities.

    For softmax, the confidence is the highest probability (Guo et al. 2017) and the Brier score is summed
    over all choices (Brier 1950). For sigmoid, the probability of each label is compared with the share of
    texts that have it, over all labels.
    """
    count = max(1, len(terms))
    bins_3B, brier, loss = np.zeros((3, 10)), 0.0, 0.0
    for part in _parts(terms):
        chances = part.probabilities(calibration)
        tiny = np.finfo(np.float64).tiny
        if terms.kind == "sigmoid":
            bins_3B += bin_sums(chances.ravel(), part.gold.ravel())
            brier += float(np.square(chances - part.gold).mean(axis=1).sum())
            of_gold = np.where(part.gold == 1, chances, 1 - chances)
            loss -= float(np.log(np.maximum(of_gold, tiny)).mean(axis=1).sum())
            continue
        if terms.kind == "top":
            top = chances[:, 0]
            bins_3B += bin_sums(top, part.gold)
            brier += float(np.square(top - part.gold).sum())
            loss -= float(np.log(np.maximum(np.where(part.gold == 1, top, 1 - top), tiny)).sum())
            continue
        rows = np.arange(len(part))
        of_gold = chances[rows, part.gold]
        bins_3B += bin_sums(chances.max(axis=1), chances.argmax(axis=1) == part.gold)
        brier += float((np.square(chances).sum(axis=1) - 2 * of_gold + 1).sum())
        loss -= float(np.log(np.maximum(of_gold, tiny)).sum())
    error = float(np.abs(bins_3B[1] - bins_3B[2]).sum() / max(1.0, bins_3B[0].sum()))
    return Measured(error, brier / count, loss / count, bins_3B)


def comparison(terms: Terms, calibration: Calibration, unit: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A table of the measures before and after temperature scaling, and the reliability plot of both.

    `unit` is what the terms are, in the plural.
    """
    before, after = measure(terms, None), measure(terms, calibration)
    names = {"ece": "expected calibration error", "brier": "Brier score", "log_loss": "log loss"}
    rows = [[names[key], value, after.plain()[key]] for key, value in before.plain().items()]
    note = f"Measured on {len(terms):,} {unit}. Lower is better."
    figure = calibration_of(after.bins_3B, unit)
    unscaled = calibration_of(before.bins_3B, unit)
    if terms.kind == "sigmoid":
        figure |= {"axes": ["predicted probability of a label", "fraction of texts with the label"]}
        figure |= {"unit": "labels of these texts"}
    return (
        table("Calibration", ["measure", "before scaling", "after scaling"], rows, note),
        figure | {"before": unscaled["bins"], "error_before": unscaled["error"]},
    )


def _parts(terms: Terms) -> list[Terms]:
    """The terms in blocks of rows, which limits memory."""
    size = max(1, _CELLS // max(1, terms.logits_NC.shape[1]))
    return [
        Terms(terms.kind, terms.logits_NC[start : start + size], terms.gold[start : start + size])
        for start in range(0, len(terms), size)
    ]


def _top_loss(terms: Terms, temperature: float, prior: float) -> float:
    """The summed log loss of whether the first candidate is right, plus the penalty of the prior."""
    top_N = terms.probabilities(Calibration((temperature,)))[:, 0]
    bounded_N = np.clip(top_N, 1e-12, 1 - 1e-12)
    loss = -float(np.where(terms.gold == 1, np.log(bounded_N), np.log1p(-bounded_N)).sum())
    return loss + prior * (1 / temperature + float(np.log(temperature)))


def _softmax_slope(terms: Terms, beta: float) -> FloatArray:
    """The derivative of the summed log loss by the inverse temperature, [1]; it never decreases."""
    total = 0.0
    for part in _parts(terms):
        logits_NC = np.where(np.isfinite(part.logits_NC), part.logits_NC, 0.0)
        expected_N = (_softmax(part.logits_NC * beta) * logits_NC).sum(axis=1)
        total += float((expected_N - logits_NC[np.arange(len(part)), part.gold]).sum())
    return np.array([total])


def _bisected(slope: Any, count: int, prior: float, mode: float = 1.0) -> list[float]:
    """The temperatures at which the log loss and the prior balance.

    `slope` is the derivative of the loss [count] by the inverse temperatures, and never decreases. The
    density of the prior is highest at the inverse temperature `mode`.
    """
    low, high = np.full(count, np.log(1 / HIGHEST)), np.full(count, np.log(1 / LOWEST))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        beta = np.exp(middle)
        is_above = slope(beta) + prior * (1 / mode - 1 / beta) > 0
        low, high = np.where(is_above, low, middle), np.where(is_above, middle, high)
    return [float(f"{value:.6g}") for value in np.exp(-(low + high) / 2)]


def _softmax(logits_NC: FloatArray) -> FloatArray:
    shares_NC: FloatArray = np.exp(logits_NC - logits_NC.max(axis=1, keepdims=True))
    shares_NC /= shares_NC.sum(axis=1, keepdims=True)
    return shares_NC


def _sigmoid(logits: FloatArray) -> FloatArray:
    with np.errstate(over="ignore"):  # exp of a large number overflows to infinity: the probability is 0
        chances: FloatArray = 1 / (1 + np.exp(-logits))
    return chances
