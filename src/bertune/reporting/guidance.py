"""Owns how to use a run, and what to beware of."""

import re
import shlex
from dataclasses import dataclass

from bertune.reporting.confusion import Matrix, only_prediction
from bertune.reporting.curves import Curves
from bertune.reporting.recorded import splits_of
from bertune.reporting.wording import count, counted, percent, visible
from bertune.run import JsonObject, Run


@dataclass(frozen=True)
class Command:
    """A way to use the run, ready to be copied."""

    purpose: str
    code: str


@dataclass(frozen=True)
class Callout:
    """One thing to beware of."""

    title: str
    text: str


def usage(run: Run, manifest: JsonObject) -> list[Command]:
    """Predict, evaluate and Python; for a run that did not finish, how to continue it."""
    folder = shlex.quote(str(run.path))
    if manifest.get("status") != "complete":
        return [Command("Continue the training", f"bertune train {folder} --resume")]
    is_pair = len(((manifest.get("data") or {}).get("columns") or {}).get("text") or []) > 1
    example = '[("a text", "its partner")]' if is_pair else '["a text", "another"]'
    python = f"import bertune as bt\nmodel = bt.load({str(run.path)!r})\nmodel.predict({example})"
    return [
        Command("Label new texts", f"bertune predict {folder} new.csv"),
        Command("Score it on labelled texts", f"bertune evaluate {folder} labelled.csv"),
        Command("Use it from Python", python),
    ]


def callouts(manifest: JsonObject, curves: Curves | None, matrix: Matrix | None) -> list[Callout]:
    """Recorded warnings, and what the recorded numbers show where no warning speaks of it."""
    recorded = [visible(warning) for warning in manifest.get("warnings") or []]
    found = [Callout("Warning", warning.removesuffix(".") + ".") for warning in recorded]
    shown = [
        ("collapse|same label|one label|single (class|label)", _collapse(matrix)),
        (r"\bnan\b|not a number|not finite|non-finite|diverge", _not_finite(curves)),
        ("truncat", _truncation(manifest)),
        (r"are in \w+ too|shared|leak", _leakage(manifest)),
    ]
    for pattern, callout in shown:
        if callout and not any(re.search(pattern, warning, re.IGNORECASE) for warning in recorded):
            found.append(callout)
    return found


def _collapse(matrix: Matrix | None) -> Callout | None:
    label = only_prediction(matrix) if matrix else None
    text = f"every text was given the label “{visible(label)}”. Try a lower learning rate or another seed."
    return Callout("The model has collapsed", text) if label is not None else None


def _not_finite(curves: Curves | None) -> Callout | None:
    step = curves.first_not_finite if curves else None
    if step is None:
        return None
    return Callout("The training loss was not a number", f"first at step {count(step)}. Lower train.lr.")


def _truncation(manifest: JsonObject) -> Callout | None:
    parts = [
        f"{count(cut)} of {counted(split['rows'], f'{name} text')} ({percent(cut, split['rows'])})"
        for name, split in splits_of(manifest).items()
        if (cut := split.get("truncated")) and split.get("rows")
    ]
    limit = (manifest.get("max_length") or {}).get("value")
    after = f" after {count(limit)} tokens" if limit else ""
    return Callout("Texts were truncated", f"{', '.join(parts)} are cut{after}.") if parts else None


def _leakage(manifest: JsonObject) -> Callout | None:
    shared = (manifest.get("data") or {}).get("shared_texts") or {}
    parts = [
        f"{count(number)} in both {pair.replace('/', ' and ')}" for pair, number in shared.items() if number
    ]
    text = f"{'; '.join(parts)}. Scores on them are too good."
    return Callout("Splits share texts", text) if parts else None
