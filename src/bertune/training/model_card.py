"""The model card of a trained model: `README.md` in its folder, with the metadata block of the Hub.

The block names the base model, the pipeline, the license and language of the base model if its own card has
them, and the scores. The text is for the people who use the model.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCardData

from bertune.data import named
from bertune.errors import counted
from bertune.files import read_bytes, write_atomically
from bertune.manifest import ManifestRecord
from bertune.manifest.data import DataRecord, SplitRecord
from bertune.manifest.details import Interval
from bertune.metadata import recorded_metadata
from bertune.nn.pretrained import Pretrained
from bertune.tasks import FittedTask

FILE = "README.md"
_MOST_LABELS = 50  # listed in the text
_MOST_CARD = 1 << 16  # characters of the card of the base model that are searched for its metadata
_KEY = r"^{}:[ \t]*['\"]?([A-Za-z0-9][\w.+-]*)['\"]?[ \t]*$"


def write_model_card(
    folder: Path, manifest: ManifestRecord, fitted: FittedTask, pretrained: Pretrained
) -> None:
    """Write the card of a complete run to its model folder. It has no checksum, so users can change it."""
    saved = recorded_metadata(folder)
    note = "" if saved is None else saved.calibration_note or ""
    write_atomically(folder / FILE, model_card(manifest, fitted, pretrained, note))


def replace_sentence(folder: Path, before: str | None, after: str | None) -> None:
    """Replace the sentence on the decision rule in the card of a model folder, and nothing else in it.

    Without an earlier one, the new one ends the section Evaluation. A card that its user has changed in these
    places stays as it is.
    """
    path = folder / FILE
    if not path.is_file():
        return
    card = read_bytes(path).decode(errors="surrogateescape")
    if before:  # a warning if the rule marked all predictions for review
        card = card.replace(f"\n- {_plain(before)}", "")
    old, new = (f"\n\n{_plain(sentence)}" if sentence else "" for sentence in (before, after))
    if old and old in card:
        card = card.replace(old, new, 1)
    elif not old and (end := re.search(r"\n## Evaluation\n.*?(?=\n\n## )", card, re.DOTALL)):
        card = card[: end.end()] + new + card[end.end() :]
    write_atomically(path, card.encode(errors="surrogateescape"))


def model_card(
    manifest: ManifestRecord, fitted: FittedTask, pretrained: Pretrained, calibration_note: str
) -> str:
    """The metadata block and the text of the card."""
    split = "test" if "test" in (manifest.scores or {}) else "validation"
    block = _metadata(manifest, split, fitted, pretrained).to_yaml()
    return (
        f"---\n{block.rstrip()}\n---\n\n"
        + "\n".join(_text(manifest, split, pretrained, calibration_note))
        + "\n"
    )


def _metadata(
    manifest: ManifestRecord, split: str, fitted: FittedTask, pretrained: Pretrained
) -> ModelCardData:
    known = base_metadata(pretrained.folder)
    source = manifest.source or ""
    name = _plain(manifest.name or "model")
    data_type = _plain(source if source in named.names() else name)
    results = [
        EvalResult(
            task_type=fitted.pipeline_tag,
            dataset_type=data_type,
            dataset_name=name,
            dataset_split=split,
            metric_type=key,
            metric_value=round(value, 6),
            metric_name=key if ends is None else f"{key} (95% interval {ends[0]:.3f} to {ends[1]:.3f})",
        )
        for key, value, ends in _scores(manifest, split)
    ]
    return ModelCardData(
        language=known.get("language"),
        license=known["license"][0] if "license" in known else None,
        library_name="transformers",
        base_model=pretrained.hub_id,
        pipeline_tag=fitted.pipeline_tag,
        tags=["bertune", _plain(Path(manifest.task or "").stem)],
        datasets=[source] if source in named.names() else None,
        metrics=[result.metric_type for result in results] or None,
        model_name=name,
        eval_results=results or None,
    )


def _scores(manifest: ManifestRecord, split: str) -> Iterator[tuple[str, float, list[float] | None]]:
    """Every defined score of a split with its interval, the primary one first."""
    scores = (manifest.scores or {}).get(split) or {}
    intervals = (
        ((manifest.intervals or {})[split].scores or {}) if split in (manifest.intervals or {}) else {}
    )
    for key in sorted(scores, key=lambda key: key != manifest.primary):
        score = scores[key]
        value = score.value if isinstance(score, Interval) else score
        if isinstance(value, int | float):
            yield key, float(value), intervals.get(key)


def base_metadata(folder: Path) -> dict[str, list[str]]:
    """License and languages in the metadata block of the card of a base model; empty without a card.

    Only these two keys are read, because the card may come from anywhere.
    """
    path = folder / FILE
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", errors="replace") as file:
        found = re.match(r"---\r?\n(.*?)\r?\n---", file.read(_MOST_CARD), re.DOTALL)
    if found is None:
        return {}
    block = found[1].replace("\r\n", "\n")
    known = {}
    for key in ("license", "language"):
        if single := re.search(_KEY.format(key), block, re.MULTILINE):
            known[key] = [single[1]]
        elif several := re.search(
            rf"^{key}:[ \t]*\n((?:[ \t]*- *['\"]?[\w.-]+['\"]?[ \t]*\n?)+)", block, re.MULTILINE
        ):
            known[key] = re.findall(r"- *['\"]?([\w.-]+)", several[1])
    return known


def _text(
    manifest: ManifestRecord, split: str, pretrained: Pretrained, calibration_note: str
) -> Iterator[str]:
    data = manifest.data or DataRecord()
    noun = manifest.row_noun or "text"
    rows = ((data.splits or {}).get("train") or SplitRecord()).rows or 0
    base = pretrained.hub_id or Path(pretrained.name).name
    class_name = (manifest.model and manifest.model.class_name) or "AutoModel"
    yield f"# {_plain(manifest.name or 'model')}"
    yield ""
    yield (
        f"{code_span(base)}, fine-tuned for {_plain(Path(manifest.task or '').stem).replace('_', ' ')} on "
        f"{counted(rows, noun)} with bertune {(manifest.versions or {}).get('bertune', '')}."
    )
    yield from ("", "## Use", "", "```bash", "bertune predict . FILE", "```", "", "```python")
    yield from ("import bertune as bt", 'model = bt.load(".")', 'model.predict(["a text"])', "```", "")
    yield f"The folder has the Hugging Face layout; transformers loads it as `{class_name}`."
    if calibration_note:
        yield calibration_note
    labels = manifest.labels or []
    if labels:
        shown = ", ".join(code_span(label) for label in labels[:_MOST_LABELS])
        more = f" and {len(labels) - _MOST_LABELS:,} more" if len(labels) > _MOST_LABELS else ""
        yield from ("", f"Labels: {shown}{more}.")
    yield from _evaluation(manifest, split, noun)
    yield from _cautions(manifest, split)
    yield from ("", "## Training data", "", "| split | source | rows | sha256 |", "|---|---|---|---|")
    for name, one in (data.splits or {}).items():
        source, digest = _plain(Path(one.source or "").name), (one.sha256 or "")[:16]
        yield f"| {name} | {source} | {one.rows or 0:,} | {digest} |"
    versions = ", ".join(f"{name} {version}" for name, version in (manifest.versions or {}).items())
    yield from ("", f"Trained with {versions}. The run folder has all settings and the report.")


def _evaluation(manifest: ManifestRecord, split: str, noun: str) -> Iterator[str]:
    rows = (((manifest.data and manifest.data.splits) or {}).get(split) or SplitRecord()).rows or 0
    yield from (
        "",
        "## Evaluation",
        "",
        f"On {counted(rows, f'{split} {noun}')}, which were not used for training.",
    )
    if split == "validation":
        yield "They selected the checkpoint, so expect slightly lower scores on new data."
    if manifest.refit is not None:
        yield "The scores were measured before the model was trained again on all rows."
    yield from ("", "| score | value | 95% interval |", "|---|---|---|")
    for key, value, ends in _scores(manifest, split):
        yield f"| {key} | {value:.4f} | {'' if ends is None else f'{ends[0]:.4f} to {ends[1]:.4f}'} |"
    if manifest.baselines is not None and manifest.baselines.verdict:
        yield from ("", _plain(manifest.baselines.verdict))
    if manifest.decision is not None and manifest.decision.sentence:
        yield from ("", _plain(manifest.decision.sentence))


def _cautions(manifest: ManifestRecord, split: str) -> Iterator[str]:
    """Slices that are worse than the rest, and errors and warnings about the data."""
    slices: Any = ((manifest.slices or {})[split].slices or []) if split in (manifest.slices or {}) else []
    found = [
        f"- {_plain(one.kind or '')} {_plain(one.name or '')}: {(manifest.slices or {})[split].score} "
        f"{one.value:.3f}, {one.rest:.3f} on the other rows"
        for one in slices
        if one.verdict == "worse" and one.value is not None and one.rest is not None
    ]
    found += [f"- {_plain(warning)}" for warning in manifest.warnings or []]
    if found:
        yield from ("", "## Limitations", "", *found)


def code_span(text: str) -> str:
    """A text on one line, verbatim, as a code span of Markdown, in which a backslash escapes nothing."""
    line = _one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    pad = " " if "`" in (line[:1], line[-1:]) else ""
    return f"{fence}{pad}{line}{pad}{fence}"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _plain(text: str) -> str:
    """One line that Markdown does not format."""
    line = _one_line(text)
    return re.sub(r"([\\`*_{}\[\]<>|#])", r"\\\1", line) if re.search(r"[`<>|\[\]]", line) else line
