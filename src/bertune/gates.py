"""Quality gates: limits on the scores of a run, set as `gate.SCORE=VALUE`.

Only the name of the score decides the direction: scores in `LOWER_IS_BETTER` must not exceed the limit, all
others must reach it.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from bertune.errors import ConfigError, GateError, counted, did_you_mean
from bertune.manifest.results import GateRecord
from bertune.metrics.calibration import MEASURES
from bertune.metrics.scores import LOWER_IS_BETTER


def refuse_unknown(gates: Mapping[str, float], known: Collection[str]) -> None:
    """Raise ConfigError for a gate on a score that the run will not have."""
    unknown = [name for name in gates if name not in known]
    if unknown:
        raise ConfigError(
            f"gate.{unknown[0]}={gates[unknown[0]]:g}: this task has no such score."
            f"{did_you_mean(unknown[0], known)} Use one of {', '.join(known)}"
        )


def measured(
    gates: Mapping[str, float],
    scores: Mapping[str, Mapping[str, float | None]],
    split: str | None = None,
) -> list[GateRecord]:
    """Compare the final scores with the gates: those of the test split, otherwise of validation.

    `split` names another one. A score that is undefined does not pass.
    """
    split = split or ("test" if "test" in scores else "validation")
    found = []
    for name, limit in gates.items():
        value = scores[split].get(name)
        is_lower = name in LOWER_IS_BETTER
        passed = value is not None and (value <= limit if is_lower else value >= limit)
        record = GateRecord(
            score=name, limit=limit, lower_is_better=is_lower, split=split, value=value, passed=passed
        )
        found.append(record)
    return found


def of_complete(gates: Mapping[str, float], manifest: Mapping[str, Any]) -> list[GateRecord] | None:
    """Compare a complete run with gates; None if there are none, or if its manifest has the results.

    Raises ConfigError for a score that the manifest does not have.
    """
    recorded = {gate["score"]: gate for gate in manifest.get("gates") or ()}
    if not gates or gates == {name: gate["limit"] for name, gate in recorded.items()}:
        return None
    split = "test" if "test" in manifest["scores"] else "validation"
    calibration = manifest.get("calibration") or {}
    measures = calibration.get("after") or {} if calibration.get("split") == split else {}
    of_gates = {name: gate["value"] for name, gate in recorded.items()}
    scores = {**measures, **of_gates, **manifest["scores"][split]}
    refuse_unknown(gates, {**dict.fromkeys(MEASURES), **scores})
    for name in gates:
        if name not in scores:
            raise ConfigError(
                f"gate.{name}={gates[name]:g}: the run is complete, and this score was not recorded. Use "
                f"bertune evaluate RUN FILE gate.{name}={gates[name]:g}"
            )
    return measured(gates, {split: scores}, split)


def described(gate: GateRecord) -> str:
    """`accuracy 0.8612 on test, at least 0.9 required`."""
    value = "undefined" if gate.value is None else f"{gate.value:.4f}"
    side = "at most" if gate.lower_is_better else "at least"
    return f"{gate.score} {value} on {gate.split}, {side} {gate.limit:g} required"


def refuse_failed(recorded: Sequence[Mapping[str, Any]] | None, path: str) -> None:
    """Raise GateError if a finished run did not pass all gates in its record; `path` is its folder."""
    failed = failures(recorded)
    if failed:
        raise GateError(
            f"{failed}. All results, with the report, are in {path}. Improve the model or the "
            "data, or set other limits in a new run"
        )


def failures(recorded: Sequence[Mapping[str, Any]] | None) -> str:
    """The gates that failed, as a sentence without a full stop; empty if all passed."""
    gates = [GateRecord.model_validate(value) for value in recorded or ()]
    failed = [gate for gate in gates if not gate.passed]
    listed = "; ".join(map(described, failed))
    return f"{len(failed)} of {counted(len(gates), 'quality gate')} failed: {listed}" if failed else ""
