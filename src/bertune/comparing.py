"""Compare finished runs on the same test rows, from the resamples and predictions that they stored.

Each run is compared with the first one. The resamples of runs with the same rows are paired, because they
were drawn with the same random numbers (`metrics/resampling.py`). Nothing is predicted again, and no code of
a user is executed.

Two runs are two models, and the test shows whether these models differ on such data. Whether their recipes
differ is another question, because two seeds of one recipe are also different models. To answer it, compare
runs with several seeds (`train.seeds`): the seeds are then resampled together with the rows.

Dimensions: R resamples, S seeds.
"""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bertune import registry
from bertune.config import TaskConfig
from bertune.errors import ConfigError, DataError
from bertune.files import shown_path, to_json, write_atomically, write_jsonl
from bertune.metrics.arrays import FloatArray
from bertune.metrics.comparison import Difference, adjusted, difference
from bertune.metrics.scores import LOWER_IS_BETTER
from bertune.run import Run, open_run, verify
from bertune.tasks import make_task
from bertune.tasks.optional import OptionalFittedMembers, without_fractions

_SIGNIFICANT = 0.05  # the level of the tests, for adjusted p values
# Fields of a line of predictions: those of the row, and those of a decision rule, which one run may lack.
_NOT_PREDICTED = ("id", "source", "text", "gold", "decision", "review_labels")
# Both values of a score, and their difference if it can be tested.
_Pair = tuple[float | None, float | None, Difference | None]
_SEEDS = 0  # random seed of the choice of seeds


@dataclass(frozen=True)
class ComparedScore:
    """A score of two runs. For `p_adjusted`, see `metrics.comparison.adjusted`."""

    score: str
    first: float | None
    second: float | None
    difference: Difference | None  # second minus first; None if undefined
    p_adjusted: float | None
    verdict: str  # better, worse, no difference, or undefined


@dataclass(frozen=True)
class ChangedExample:
    """A test row that two runs predict differently."""

    id: str
    source: str
    text: list[str]
    gold: Any
    first: Any
    second: Any
    change: str  # fixed, broken, or changed


@dataclass(frozen=True)
class ComparedRun:
    """A run compared with the first one."""

    path: str
    scores: list[ComparedScore]
    changed: list[ChangedExample]


@dataclass(frozen=True)
class Comparison:
    """The result of `bertune.compare`: every run after the first, compared with it."""

    first: str
    split: str
    rows: int
    primary: str  # the score that is tested first
    tests: str  # what the p values compare: models, or recipes if all runs have several seeds
    runs: list[ComparedRun]


@dataclass(frozen=True)
class _Side:
    """The stored results of one run for a split."""

    run: Run
    scores: list[Mapping[str, float | None]]  # per seed
    resampled: list[Mapping[str, FloatArray]]  # [R] of each seed


def compare_runs(paths: Sequence[Path], primary: str | None = None) -> Comparison:
    """Compare runs on their test split, or on the validation split if they have no test split.

    `primary` is the score that is tested first; None for the primary score of the first run. Raises
    ConfigError for fewer than two runs or an unknown score, DataError if the rows or groups differ, and
    InputError for a run that is not complete, was changed, or was trained by a version that stored no
    resamples.
    """
    if len(paths) < 2:
        raise ConfigError("compare needs at least two runs: bertune compare RUN RUN …")
    runs = [_complete(path) for path in paths]
    split = "test" if all("test" in run.manifest["scores"] for run in runs) else "validation"
    for run in runs[1:]:
        _refuse_other_rows(runs[0], run, split)
    sides = [_side(run, split) for run in runs]
    primary = _primary(sides, primary)
    first, others = sides[0], sides[1:]
    found = [_differences(first, other) for other in others]
    p_values = [
        {name: change.p for name, (_, _, change) in of_run.items() if change is not None} for of_run in found
    ]
    corrected = adjusted(p_values, primary)
    has_seeds = all(len(side.scores) > 1 for side in sides)
    return Comparison(
        first=str(paths[0]),
        split=split,
        rows=runs[0].manifest["data"]["splits"][split]["rows"],
        primary=primary,
        tests="recipes" if has_seeds else "models",
        runs=[
            ComparedRun(
                str(path),
                [_compared(name, *values, p_of_run.get(name)) for name, values in of_run.items()],
                list(_changed(runs[0], other.run, split)),
            )
            for path, other, of_run, p_of_run in zip(paths[1:], others, found, corrected, strict=True)
        ],
    )


def _primary(sides: Sequence[_Side], given: str | None) -> str:
    """The score that is tested first. Raises ConfigError if the given one is not a score of all runs."""
    if given is None:
        return str(sides[0].run.manifest["primary"])
    common = [name for name in sides[0].scores[0] if all(name in side.scores[0] for side in sides)]
    if given not in common:
        raise ConfigError(f"unknown score {given!r}. Choose a score that all runs have: {', '.join(common)}")
    return given


def _complete(path: Path) -> Run:
    run = open_run(path)
    if run.manifest.get("status") != "complete":
        raise DataError(f"{shown_path(path)}: training is not complete. Only finished runs can be compared")
    verify(run)
    return run


def _refuse_other_rows(first: Run, other: Run, split: str) -> None:
    """Raise DataError if two runs were not scored on the same rows, in the same order and groups."""
    shown, theirs = shown_path(first.path), shown_path(other.path)
    if first.manifest["task"] != other.manifest["task"]:
        raise DataError(
            f"{theirs} has the task {other.manifest['task']}, and {shown} has {first.manifest['task']}. Only "
            "runs of the same task can be compared"
        )
    hashes = [run.manifest["data"]["splits"].get(split, {}).get("sha256") for run in (first, other)]
    if hashes[0] is None or hashes[0] != hashes[1]:
        advice = "Evaluate both with the same data.test"
        if split == "validation":
            advice = (
                "Set data.test or data.validation to the same file, or data.split_seed to the same number"
            )
        raise DataError(
            f"the {split} rows of {shown} and {theirs} differ (texts, labels or their order), so their "
            f"scores cannot be compared. {advice} in both runs"
        )
    units = [
        (run.manifest.get("intervals") or {}).get(split, {}).get("units_sha256") for run in (first, other)
    ]
    if units[0] != units[1]:
        raise DataError(
            f"the {split} rows of {shown} and {theirs} are grouped differently, so their resamples are not "
            "paired. Use the same data.group in both runs"
        )


def _side(run: Run, split: str) -> _Side:
    seeds = (run.manifest.get("seeds") or {}).get("runs") or []
    runs = [_complete(run.path / seed["folder"]) for seed in seeds] or [run]
    return _Side(run, [r.manifest["scores"][split] for r in runs], [_resamples(r, split) for r in runs])


def _resamples(run: Run, split: str) -> dict[str, FloatArray]:
    """The stored resamples of each score, [R]. Raises DataError."""
    stored = run.resamples(split)
    if stored is None:
        few = (run.manifest.get("intervals") or {}).get(split)
        why = (
            "it has too few rows to be resampled"
            if few
            else "it was trained by an earlier version of bertune"
        )
        raise DataError(
            f"{shown_path(run.path)} has no resamples of the {split} scores: {why}. Compare runs with more "
            "test rows, trained now"
        )
    return {name: values_R.astype(np.float64) for name, values_R in stored.items()}


def _differences(first: _Side, second: _Side) -> dict[str, _Pair]:
    """Each score of both sides, averaged over seeds, and their difference."""
    found: dict[str, _Pair] = {}
    draw = np.random.default_rng(_SEEDS)
    for name in first.scores[0]:
        if any(name not in scores for scores in second.scores):
            continue
        one, other = (_mean([scores.get(name) for scores in side.scores]) for side in (first, second))
        found[name] = one, other, None
        if one is None or other is None or not all(name in r for r in (*first.resampled, *second.resampled)):
            continue
        resamples = [_over_seeds([r[name] for r in side.resampled], draw) for side in (first, second)]
        found[name] = one, other, difference(one, other, *resamples)
    return found


def _over_seeds(each: Sequence[FloatArray], draw: np.random.Generator) -> FloatArray:
    """The mean over resampled seeds, [R]. One seed fewer is drawn than there are, which makes the variance
    unbiased for few seeds (McCarthy & Snowden 1985)."""
    if len(each) == 1:
        return each[0]
    num = min(map(len, each))
    values_SR = np.stack([values_R[:num] for values_R in each])
    chosen: NDArray[np.int64] = draw.integers(len(each), size=(len(each) - 1, num))
    mean_R: FloatArray = values_SR[chosen, np.arange(num)].mean(axis=0)
    return mean_R


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if len(defined) == len(values) else None


def _compared(
    name: str, first: float | None, second: float | None, found: Difference | None, p: float | None
) -> ComparedScore:
    verdict = "undefined"
    if found is not None and p is not None:
        is_better = (found.value < 0) == (name in LOWER_IS_BETTER)
        verdict = "no difference" if p >= _SIGNIFICANT else "better" if is_better else "worse"
    return ComparedScore(name, first, second, found, p, verdict)


def _changed(first: Run, second: Run, split: str) -> Iterator[ChangedExample]:
    """The rows with different decisions: labels, entities or answers, but not probabilities."""
    config = first.config.task
    fitted = _fitted(config)
    for one, other in zip(first.predictions(split), second.predictions(split), strict=True):
        gold = one.get("gold")
        before, after = (_plain(fitted.decision(_predicted(line))) for line in (one, other))
        if before == after:
            continue
        was_right, is_right = fitted.is_gold(before, gold), fitted.is_gold(after, gold)
        change = "changed" if was_right == is_right else "fixed" if is_right else "broken"
        yield ChangedExample(
            str(one.get("id", "")),
            str(one.get("source", "")),
            list(one.get("text", ())),
            gold,
            fitted.shown_decision(before),
            fitted.shown_decision(after),
            change,
        )


def _fitted(config: TaskConfig) -> OptionalFittedMembers:
    """The members of the fitted task, which define decisions. A user's own task is not executed."""
    known = config.name in registry.names("task")
    return make_task(config).fitted() if known else OptionalFittedMembers()


def _plain(decision: Any) -> Any:
    """A decision without fractional numbers; a single field is replaced by its value."""
    kept = without_fractions(decision)
    if isinstance(kept, Mapping):
        kept = {key: value for key, value in kept.items() if value is not None}
        return next(iter(kept.values())) if len(kept) == 1 else kept
    return kept


def _predicted(line: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in line.items() if key not in _NOT_PREDICTED}


def refuse_changed_file(path: Path) -> None:
    """Raise ConfigError if the rows that changed cannot be written to `path`."""
    if path.suffix not in (".jsonl", ".csv"):
        raise ConfigError(f"{path}: the rows that changed can be written as .jsonl or .csv")
    if path.exists():
        raise ConfigError(f"{path} already exists. compare does not overwrite files; use another name")


def write_changed(found: Comparison, path: Path) -> None:
    """Write the rows that changed to a new .jsonl or .csv file. Raises ResourceError and InputError."""
    rows = [{"run": run.path, **asdict(one)} for run in found.runs for one in run.changed]
    if path.suffix == ".jsonl":
        write_jsonl(path, rows)
        return
    names = ["run", *(field.name for field in fields(ChangedExample))]
    content = io.StringIO(newline="")
    table = csv.writer(content)
    table.writerow(names)
    table.writerows([_cell(row[name]) for name in names] for row in rows)
    write_atomically(path, content.getvalue())


def _cell(value: Any) -> str:
    """The text of a CSV cell; texts of a pair are separated by a line break."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    return value if isinstance(value, str) else to_json(value, indent=None)
