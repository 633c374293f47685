"""The verdict on a run: one sentence composed from its records."""

from bertune.errors import counted
from bertune.manifest import ManifestRecord
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
    name = score_name(primary)
    text = f"{name[:1].upper()}{name[1:]} is {decimal(score)}{f' (95% interval {ends})' if ends else ''}{on}"
    simple = ((manifest.baselines or BaselinesRecord()).verdict or "").rstrip(".")
    if simple:
        text += f"; {simple[:1].lower()}{simple[1:]}"
    doubts = list(_doubts(manifest, split, num_label_errors))
    return visible(text + (f"; note that {_and(doubts)}" if doubts else "") + ".")


def _and(parts: list[str]) -> str:
    """`a, b and c`."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _doubts(manifest: ManifestRecord, split: str, num_label_errors: int) -> list[str]:
    """Errors of the audit, failed gates, slices that are worse than the rest, and likely label errors."""
    errors = [one for one in data_of(manifest).findings or [] if one.level == "error"]
    failed = [gate for gate in manifest.gates or [] if not gate.passed]
    slices = ((manifest.slices or {}).get(split) or SlicesRecord()).slices or []
    worse = [one for one in slices if one.verdict == "worse"]
    found = []
    if errors:
        found.append(f"the audit found {counted(len(errors), 'error')}")
    if failed:
        found.append(f"{counted(len(failed), 'quality gate')} failed")
    if worse:
        verb = "is" if len(worse) == 1 else "are"
        found.append(f"{counted(len(worse), 'slice')} of the rows {verb} worse than the rest")
    if num_label_errors:
        verb = "is" if num_label_errors == 1 else "are"
        noun = f"{split} {row_noun(manifest)}"
        found.append(f"{counted(num_label_errors, noun)} {verb} probably mislabelled")
    return found
