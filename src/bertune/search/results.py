"""The record of a search: trials, importances, the winner, and how optimistic its score is."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from numpy.typing import ArrayLike
from optuna.trial import FrozenTrial, TrialState

from bertune.config import Config
from bertune.errors import counted
from bertune.manifest.details import DetailsRecord
from bertune.metrics.arrays import FloatArray
from bertune.metrics.details import curve, scatter, table
from bertune.metrics.optimism import Optimism, optimism
from bertune.run import Run
from bertune.search.space import Params, Range, Space, shown
from bertune.search.study import TrialQueue, quiet
from bertune.tuning import DimensionRecord, OptimismRecord, TrialRecord, WinnerRecord

_LEAST_FOR_IMPORTANCE = 5  # completed trials; with fewer, importances are arbitrary


@dataclass(frozen=True)
class Found:
    """The trials of a search."""

    space: Space
    config: Config  # without the search
    metric: str
    lower_is_better: bool
    searched: TrialQueue  # the stage that draws settings
    final: TrialQueue  # the stage whose best trial wins: the same without a proxy encoder
    out: Path

    def best(self) -> FrozenTrial | None:
        """The best completed trial of the final stage; the earlier one of equal trials."""
        done = [trial for trial in self.final.trials() if trial.state == TrialState.COMPLETE]
        sign = 1 if self.lower_is_better else -1
        return min(done, key=lambda trial: (sign * (trial.value or 0.0), trial.number), default=None)


def trial_records(found: Found) -> list[TrialRecord]:
    """The trials of all stages, in the order in which they started."""
    queues = [found.searched] if found.final is found.searched else [found.searched, found.final]
    default = found.space.defaults(found.config)
    return [_trial_record(queue, trial, default, found.out) for queue in queues for trial in queue.trials()]


def _trial_record(queue: TrialQueue, trial: FrozenTrial, default: Params | None, out: Path) -> TrialRecord:
    recorded, folder = trial.user_attrs, queue.folder(trial.number)
    known = {
        key: recorded[key] for key in ("seconds", "best_step", "total_steps", "folds") if key in recorded
    }
    value = trial.value
    if trial.state == TrialState.PRUNED:
        value = None
    return TrialRecord(
        number=trial.number,
        stage=queue.label,
        outcome="running" if trial.state == TrialState.RUNNING else recorded.get("outcome", "complete"),
        value=value,
        params=dict(trial.params),
        is_default=trial.params == default,
        folder=str(folder.relative_to(out)) if folder.is_dir() else None,
        **known,
    )


def importances(found: Found) -> dict[str, float]:
    """The share of the differences between trials that each setting explains; empty with too few trials.

    PED-ANOVA (Watanabe, Bansal & Hutter 2023), the evaluator that Optuna uses by default.
    """
    done = [trial for trial in found.searched.trials() if trial.state == TrialState.COMPLETE]
    if len(done) < _LEAST_FOR_IMPORTANCE or len({trial.value for trial in done}) < 2:
        return {}
    with quiet():
        values = optuna.importance.get_param_importances(found.searched.study)
    return {key: float(value) for key, value in values.items() if np.isfinite(value)}


def dimension_records(found: Found) -> list[DimensionRecord]:
    """The searched settings, with default and best values and importances."""
    best, shares = found.best(), importances(found)
    defaults = found.space.defaults(found.config) or {}
    return [
        DimensionRecord(
            setting=key,
            searched=str(dimension),
            default=defaults.get(key),
            best=None if best is None else best.params.get(key),
            importance=shares.get(key),
        )
        for key, dimension in found.space.dimensions.items()
    ]


def details(found: Found) -> DetailsRecord:
    """The scores by trial, and by the value of each setting."""
    done = [trial for trial in found.searched.trials() if trial.state == TrialState.COMPLETE]
    if not done:
        return DetailsRecord()
    values = [float(trial.value or 0.0) for trial in done]
    numbers = [trial.number for trial in done]
    better: np.ufunc = np.minimum if found.lower_is_better else np.maximum
    so_far: FloatArray = better.accumulate(np.array(values))
    figures = []
    if len(done) > 1:
        series: dict[str, tuple[ArrayLike, ArrayLike]] = {
            "each trial": (numbers, values),
            "best so far": (numbers, so_far),
        }
        figures.append(curve("Scores by trial", ("trial", found.metric), series))
    tables = []
    for key, dimension in found.space.dimensions.items():
        if isinstance(dimension, Range) and dimension.listed is None:
            x = [float(trial.params[key]) for trial in done]
            shown_x = np.log10(x) if dimension.is_log else np.array(x)
            title = f"log10 of {key}" if dimension.is_log else key
            figures.append(scatter(f"Scores by {key}", (title, found.metric), shown_x, values))
        else:
            rows = list(
                _by_value(dimension.listed or (), [(t.params[key], float(t.value or 0.0)) for t in done])
            )
            note = "Trials that were stopped early are not included."
            tables.append(
                table(f"Scores by {key}", ["value", "trials", "mean", "lowest", "highest"], rows, note)
            )
    return DetailsRecord.model_validate({"tables": tables, "figures": figures})


def _by_value(order: Sequence[Any], pairs: Sequence[tuple[Any, float]]) -> Iterator[list[Any]]:
    for one in order:
        of_value = [score for value, score in pairs if value == one]
        if of_value:
            yield [shown(one), len(of_value), statistics.fmean(of_value), min(of_value), max(of_value)]


def optimism_of(found: Found) -> Optimism | None:
    """The optimism of the best score of the final stage; None without resamples of at least two trials."""
    done = [trial for trial in found.final.trials() if trial.state == TrialState.COMPLETE]
    resamples = [trial.user_attrs.get("resamples") for trial in done]
    known = [values for values in resamples if values is not None]
    if len(known) < len(done) or len({len(values) for values in known}) != 1:
        return None
    return optimism(np.array(known, np.float64), found.lower_is_better)


def optimism_record(one: Optimism | None) -> OptimismRecord | None:
    """The optimism for the record."""
    if one is None:
        return None
    return OptimismRecord(trials=one.num_trials, expected=one.expected, noise=one.noise, ceiling=one.ceiling)


def winner_record(found: Found, trial: FrozenTrial, run: Run) -> WinnerRecord:
    """The best settings, and the scores of their run."""
    manifest, metric = run.record, found.metric
    scores, intervals = manifest.scores or {}, manifest.intervals or {}
    training = manifest.training

    def score(split: str) -> float | None:
        value = (scores.get(split) or {}).get(metric)
        return float(value) if isinstance(value, int | float) else None

    def interval(split: str) -> list[float] | None:
        ends = intervals.get(split)
        return None if ends is None else (ends.scores or {}).get(metric)

    sign, test = (-1 if found.lower_is_better else 1), score("test")
    value = float(trial.value or 0.0)
    best = None if training is None else training.best
    return WinnerRecord(
        trial=trial.number,
        params=dict(trial.params),
        value=value,
        validation=score("validation"),
        validation_interval=interval("validation"),
        test=test,
        test_interval=interval("test"),
        gap=None if test is None else sign * (value - test),
        gap_interval=_gap_interval(trial, run, metric, sign),
        best_step=None if best is None else best.step,
        total_steps=None if training is None else training.total_steps,
        seconds=(manifest.timings or {}).get("total_seconds"),
    )


def _gap_interval(trial: FrozenTrial, run: Run, metric: str, sign: int) -> list[float] | None:
    """The 95% interval of the difference between selection and test scores, from independent resamples."""
    recorded, stored = trial.user_attrs.get("resamples"), run.resamples("test") or {}
    if recorded is None or metric not in stored:
        return None
    test_R: FloatArray = stored[metric].astype(np.float64)
    # In another order: both were drawn with the same seed, and must not be paired.
    drawn_R = np.random.default_rng(1).choice(test_R, len(recorded))
    gap_R = sign * (np.array(recorded) - drawn_R)
    if not np.isfinite(gap_R).all():
        return None
    low, high = np.quantile(gap_R, (0.025, 0.975))
    return [float(low), float(high)]


def sentences(
    found: Found, winner: WinnerRecord, one: Optimism | None, trials: Sequence[TrialRecord]
) -> dict[str, str]:
    """The conclusions of the search, by title."""
    final = [trial for trial in trials if trial.stage == found.final.label and trial.outcome == "complete"]
    by_topic = {"Best settings": _settings_sentence(found, winner), **_gain(found, winner, final)}
    if one is not None:
        by_topic["Optimism of the search"] = (
            f"the best of {counted(one.num_trials, 'trial')} is partly due to luck. In resamples of the "
            f"rows that the trials were compared on, selecting the best overstates its score by "
            f"{one.expected:.3f}; it would be {one.ceiling:.3f} if all trials were equally good (a noise of "
            f"{one.noise:.3f} between trials)"
        )
    if winner.test is None:
        corrected = (
            "" if one is None else f" Subtracting the optimism leaves {_corrected(found, winner, one):.3f}."
        )
        by_topic["Test"] = (
            "there is no test split, so no score of this search is free of selection." + corrected + " Set "
            "data.test=FILE or data.test_fraction=0.2"
        )
    else:
        by_topic["Test"] = _test_sentence(found, winner)
    return by_topic


def _corrected(found: Found, winner: WinnerRecord, one: Optimism) -> float:
    return (winner.value or 0.0) + (one.expected if found.lower_is_better else -one.expected)


def _settings_sentence(found: Found, winner: WinnerRecord) -> str:
    return ", ".join(f"{key}={shown(value)}" for key, value in (winner.params or {}).items())


def _gain(found: Found, winner: WinnerRecord, final: Sequence[TrialRecord]) -> Mapping[str, str]:
    default = next((trial for trial in final if trial.is_default), None)
    if default is None or default.value is None or winner.value is None:
        return {}
    if default.number == winner.trial:
        return {"Gain over the defaults": "none: the base settings are the best"}
    sign = -1 if found.lower_is_better else 1
    gain = sign * (winner.value - default.value)
    return {
        "Gain over the defaults": f"{winner.value:.3f} against {default.value:.3f} for the base settings, "
        f"{gain:.3f} better on the rows that selected it"
    }


def _test_sentence(found: Found, winner: WinnerRecord) -> str:
    gap, ends = winner.gap or 0.0, winner.gap_interval
    side = "above" if gap >= 0 else "below"
    if found.lower_is_better:
        side = "below" if gap >= 0 else "above"
    text = (
        f"{winner.test:.3f} on test rows that the search never used. The score that selected "
        f"these settings, {winner.value:.3f}, is {abs(gap):.3f} {side} it"
    )
    if ends is None:
        return text
    if ends[0] > 0:
        verdict = "significant, so expect the test score on new data"
    else:
        verdict = "not significant" if ends[1] >= 0 else "significant, but in the unexpected direction"
    return f"{text} (95% interval of the difference {ends[0]:.3f} to {ends[1]:.3f}: {verdict})"
