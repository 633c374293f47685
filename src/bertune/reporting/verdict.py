"""The verdict on a run: one sentence composed from its records."""

import re

from bertune.errors import counted
from bertune.manifest import ManifestRecord
from bertune.manifest.details import BaselineRecord, DetailsRecord, Interval
from bertune.manifest.results import BaselinesRecord
from bertune.manifest.slices import SlicesRecord
from bertune.reporting.recorded import data_of, final_split, row_noun, scored, scores_of
from bertune.reporting.wording import decimal, interval, real, score_name, visible


def verdict(manifest: ManifestRecord, num_label_errors: int) -> str:
    """The primary score with its interval, the comparison with simple models, and what casts doubt on it.

    `num_label_errors` is the number of likely label errors on the final split. Empty for an unfinished run.
    """
    split, primary = final_split(manifest), manifest.primary or ""
    if split is None or manifest.status != "complete":
        return ""
    score = scores_of(manifest, split).get(primary)
    if real(score) is None:
        return ""
    ends = interval(score)
    size = scored(manifest, split)
    on = f" on {counted(size[0], f'{split} {size[1]}')}" if size else f" on {split}"
    text = (
        f"{opening(score_name(primary))} is {decimal(score)}{f' (95% interval {ends})' if ends else ''}{on}"
    )
    simple = simple_verdict(manifest).rstrip(".")
    if simple:
        text += f"; {simple[:1].lower()}{simple[1:]}"
    else:
        text += _beside_baseline(manifest, split)
    slices = (manifest.slices or {}).get(split)
    return visible(f"{text}{doubts(manifest, slices, split, num_label_errors)}.")


def simple_verdict(manifest: ManifestRecord) -> str:
    """The recorded sentence on simple models, with the display name of the score; empty without one."""
    recorded = manifest.baselines or BaselinesRecord()
    if not recorded.verdict or not recorded.score:
        return recorded.verdict or ""
    key = rf"(?<![\w@]){re.escape(recorded.score)}(?![\w@])"
    return re.sub(key, score_name(recorded.score), recorded.verdict)


def _beside_baseline(manifest: ManifestRecord, split: str) -> str:
    """The recorded baseline, such as a random order, if the model is not clearly better than it."""
    details = (manifest.details or {}).get(split) or DetailsRecord()
    baseline = details.baseline or BaselineRecord()
    name = baseline.score or ""
    ours, reached = scores_of(manifest, split).get(name), real(baseline.value)
    bounds = (ours.low, ours.high) if isinstance(ours, Interval) else (ours, ours)
    low, high = (real(bound) for bound in bounds)
    if low is None or high is None or reached is None:
        return ""
    if reached > high if baseline.lower_is_better else reached < low:
        return ""
    return f"; {baseline.how} is about as good: it has {score_name(name)} {decimal(reached)}"


def opening(name: str) -> str:
    """A score name at the beginning of a sentence: Macro F1, but nDCG and F1."""
    first = name.partition(" ")[0]
    return f"{name[:1].upper()}{name[1:]}" if first.islower() and "@" not in first else name


def _and(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def doubts(manifest: ManifestRecord, slices: SlicesRecord | None, split: str, num_label_errors: int) -> str:
    """Reasons to doubt a score, as the end of a sentence; empty if there are none.

    Errors of the audit, failed gates, slices that are worse than the rest, and likely label errors.
    """
    errors = [one for one in data_of(manifest).findings or [] if one.level == "error"]
    failed = [gate for gate in manifest.gates or [] if not gate.passed]
    worse = [one for one in (slices or SlicesRecord()).slices or [] if one.verdict == "worse"]
    found = []
    if errors:
        found.append(f"the audit found {counted(len(errors), 'error')}")
    if failed:
        found.append(f"{counted(len(failed), 'quality gate')} failed")
    if worse:
        verb = "is" if len(worse) == 1 else "are"
        found.append(f"{counted(len(worse), 'slice')} of the rows {verb} worse than the rest")
    if num_label_errors:
        noun = f"{split} {row_noun(manifest)}"
        found.append(f"{counted(num_label_errors, noun)} may be mislabelled")
    return f"; note that {_and(found)}" if found else ""
