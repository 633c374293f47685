"""Commands that use a run, and warnings about it."""

import re
import shlex
from dataclasses import dataclass
from keyword import iskeyword

from bertune.errors import counted, plural
from bertune.manifest import ManifestRecord
from bertune.manifest.data import SplitRecord
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
from bertune.reporting.wording import count, decimal, percent, score_name, visible
from bertune.run import Run


@dataclass(frozen=True)
class Command:
    """A command or code snippet to copy, with its purpose."""

    purpose: str
    code: str


@dataclass(frozen=True)
class Callout:
    """A warning on the page."""

    title: str
    text: str


def usage(run: Run, manifest: ManifestRecord) -> list[Command]:
    """How to predict, evaluate and load the model in Python; for an unfinished run, how to resume it."""
    folder = shlex.quote(str(run.path))
    if manifest.status != "complete":
        return [Command("Resume training", f"bertune train {folder} --resume")]
    python = f"import bertune as bt\nmodel = bt.load({str(run.path)!r})\nmodel.predict({_example(manifest)})"
    suffix = _suffix(manifest)
    return [
        Command("Predict on new data", f"bertune predict {folder} new{suffix}"),
        Command("Evaluate on other labelled data", f"bertune evaluate {folder} labelled{suffix}"),
        Command("Use from Python", python),
    ]


def reproduction(run: Run, manifest: ManifestRecord) -> list[Command]:
    """How to install the recorded versions and train the same model again."""
    folder = shlex.quote(str(run.path))
    versions = {name: value for name, value in (manifest.versions or {}).items() if name != "python"}
    python = (manifest.versions or {}).get("python")
    install = "pip install " + " ".join(f"{name}=={value}" for name, value in versions.items())
    commands = [Command("Train the same model again", f"bertune train {folder} --out NEW")]
    if versions:
        with_python = f", with Python {python}" if python else ""
        commands.insert(0, Command(f"Install the same versions{with_python}", install))
    return commands if manifest.status == "complete" else []


def _suffix(manifest: ManifestRecord) -> str:
    """The suffix of the training file, because a file of the same format is read in the same way."""
    source = splits_of(manifest).get("train", SplitRecord()).source or ""
    match = re.search(r"\.[a-z]{2,7}(\.(gz|bz2|xz|zst|zip))?$", source)
    return match[0] if match else ".csv"


def _example(manifest: ManifestRecord) -> str:
    """Example input for the model, with the names of the training columns if they are valid identifiers."""
    names = (data_of(manifest).columns or {}).get("text")
    if not isinstance(names, list) or len(names) < 2:
        return '["a text", "another text"]'
    are_names = all(str(name).isidentifier() and not iskeyword(str(name)) for name in names)
    return f"[({', '.join(names if are_names else [f'text_{i}' for i in range(1, len(names) + 1)])})]"


def callouts(
    manifest: ManifestRecord, curves: Curves | None, matrix: Matrix | None, noun: str
) -> list[Callout]:
    """The recorded warnings, and problems visible in the recorded numbers that no warning covers.

    `noun` names the units of the confusion matrix, such as text or word.
    """
    recorded = [visible(warning) for warning in manifest.warnings or []]
    failed = [
        Callout(
            "Quality gate failed", f"{score_name(gate.score or '')} is {decimal(gate.value)} on {gate.split}."
        )
        for gate in manifest.gates or []
        if not gate.passed
    ]
    result = failed + [Callout("Warning", warning.removesuffix(".") + ".") for warning in recorded]
    derived = [
        ("collapse|same label|one label|single (class|label)", _collapse(matrix, noun)),
        (r"\bnan\b|not a number|not finite|non-finite|diverge", _not_finite(curves)),
        ("truncat", _truncation(manifest)),
        (r"are in \w+ too|also (in|occur|appear)|shared|leak", _leakage(manifest)),
    ]
    for pattern, callout in derived:
        if callout and not any(re.search(pattern, warning, re.IGNORECASE) for warning in recorded):
            result.append(callout)
    return result


def _collapse(matrix: Matrix | None, noun: str) -> Callout | None:
    label = only_prediction(matrix) if matrix else None
    text = f"it predicts “{visible(label)}” for every {noun}. Try a lower learning rate or another seed."
    return Callout("The model has collapsed", text) if label is not None else None


def _not_finite(curves: Curves | None) -> Callout | None:
    step = curves.first_not_finite if curves else None
    if step is None:
        return None
    return Callout("The training loss was not finite", f"first at step {count(step)}. Lower train.lr.")


def _truncation(manifest: ManifestRecord) -> Callout | None:
    noun = row_noun(manifest) if is_row_a_sequence(manifest) else "sequence"
    parts = [
        f"{count(cut)} of {counted(total, f'{name} {noun}')} ({percent(cut, total)})"
        for name, split in splits_of(manifest).items()
        if (cut := split.truncated) and (total := num_sequences(split))
    ]
    limit = max_length_of(manifest).value
    at = f" to {count(limit)} tokens" if limit else ""
    title = f"Truncated {plural(noun)}"
    return Callout(title, f"{', '.join(parts)} are truncated{at}.") if parts else None


def _leakage(manifest: ManifestRecord) -> Callout | None:
    shared = data_of(manifest).shared_texts or {}
    parts = [
        f"{count(number)} in both {pair.replace('/', ' and ')}" for pair, number in shared.items() if number
    ]
    text = f"{'; '.join(parts)}. Scores on these are inflated."
    return Callout(f"Splits share {plural(row_noun(manifest))}", text) if parts else None
