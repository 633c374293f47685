"""Owns how to use a run, and what to beware of."""

import re
import shlex
from dataclasses import dataclass
from keyword import iskeyword

from bertune.manifest import ManifestRecord, SplitRecord
from bertune.reporting.confusion import Matrix, only_prediction
from bertune.reporting.curves import Curves
from bertune.reporting.recorded import (
    data_of,
    is_row_a_sequence,
    max_length_of,
    num_sequences,
    row_noun,
    splits_of,
)
from bertune.reporting.wording import count, counted, percent, plural, visible
from bertune.run import Run


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


def usage(run: Run, manifest: ManifestRecord) -> list[Command]:
    """Predict, evaluate and Python; for a run that did not finish, how to continue it."""
    folder = shlex.quote(str(run.path))
    if manifest.status != "complete":
        return [Command("Continue the training", f"bertune train {folder} --resume")]
    python = f"import bertune as bt\nmodel = bt.load({str(run.path)!r})\nmodel.predict({_example(manifest)})"
    suffix = _suffix(manifest)
    return [
        Command("Predict new data", f"bertune predict {folder} new{suffix}"),
        Command("Score it on other data", f"bertune evaluate {folder} labelled{suffix}"),
        Command("Use it from Python", python),
    ]


def _suffix(manifest: ManifestRecord) -> str:
    """That of the training file: files like it are read in the same way."""
    source = splits_of(manifest).get("train", SplitRecord()).source or ""
    found = re.search(r"\.[a-z]{2,7}(\.(gz|bz2|xz|zst|zip))?$", source)
    return found[0] if found else ".csv"


def _example(manifest: ManifestRecord) -> str:
    """What to give to the model: named like the columns it was trained on, where they have names."""
    names = (data_of(manifest).columns or {}).get("text")
    if not isinstance(names, list) or len(names) < 2:
        return '["a text", "another"]'
    are_names = all(str(name).isidentifier() and not iskeyword(str(name)) for name in names)
    return f"[({', '.join(names if are_names else [f'text_{i}' for i in range(1, len(names) + 1)])})]"


def callouts(
    manifest: ManifestRecord, curves: Curves | None, matrix: Matrix | None, noun: str
) -> list[Callout]:
    """Recorded warnings, and what the recorded numbers show where no warning speaks of it."""
    recorded = [visible(warning) for warning in manifest.warnings or []]
    found = [Callout("Warning", warning.removesuffix(".") + ".") for warning in recorded]
    shown = [
        ("collapse|same label|one label|single (class|label)", _collapse(matrix, noun)),
        (r"\bnan\b|not a number|not finite|non-finite|diverge", _not_finite(curves)),
        ("truncat", _truncation(manifest)),
        (r"are in \w+ too|shared|leak", _leakage(manifest)),
    ]
    for pattern, callout in shown:
        if callout and not any(re.search(pattern, warning, re.IGNORECASE) for warning in recorded):
            found.append(callout)
    return found


def _collapse(matrix: Matrix | None, noun: str) -> Callout | None:
    label = only_prediction(matrix) if matrix else None
    text = f"every {noun} was given the label “{visible(label)}”. Try a lower learning rate or another seed."
    return Callout("The model has collapsed", text) if label is not None else None


def _not_finite(curves: Curves | None) -> Callout | None:
    step = curves.first_not_finite if curves else None
    if step is None:
        return None
    return Callout("The training loss was not a number", f"first at step {count(step)}. Lower train.lr.")


def _truncation(manifest: ManifestRecord) -> Callout | None:
    noun = row_noun(manifest) if is_row_a_sequence(manifest) else "sequence"
    parts = [
        f"{count(cut)} of {counted(total, f'{name} {noun}')} ({percent(cut, total)})"
        for name, split in splits_of(manifest).items()
        if (cut := split.truncated) and (total := num_sequences(split))
    ]
    limit = max_length_of(manifest).value
    after = f" after {count(limit)} tokens" if limit else ""
    title = f"{plural(noun).capitalize()} were truncated"
    return Callout(title, f"{', '.join(parts)} are cut{after}.") if parts else None


def _leakage(manifest: ManifestRecord) -> Callout | None:
    shared = data_of(manifest).shared_texts or {}
    parts = [
        f"{count(number)} in both {pair.replace('/', ' and ')}" for pair, number in shared.items() if number
    ]
    text = f"{'; '.join(parts)}. Scores on them are too good."
    return Callout(f"Splits share {plural(row_noun(manifest))}", text) if parts else None
