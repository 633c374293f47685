"""Findings about the tokenizer: unknown tokens, texts split into bytes, and truncation by label."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from bertune.audit.findings import AuditedSplit, Finding, Level, found_rows
from bertune.audit.intervals import critical_value, lower_share
from bertune.audit.words import Ints
from bertune.errors import counted

# Shares of unknown tokens. Even rare names and emoji stay far below 1% with a fitting tokenizer.
_UNKNOWN: tuple[tuple[float, Level], ...] = ((0.3, "error"), (0.05, "warning"), (0.01, "note"))
# Tokens per character without spaces. English has about 0.25, Chinese up to 1 with its own tokenizer; a
# tokenizer that falls back to bytes needs 2 to 3 for a Chinese character.
_TOO_FINE = 1.3
_LEAST_OF_LABEL = 20  # rows of a label whose share of truncated rows is compared with that of all rows
_MUCH_MORE = 1.5  # times the share of all rows
_MOST_LABELS = 50  # labels whose shares are recorded


@dataclass(frozen=True)
class TokenCounts:
    """Token counts of the N rows of a split, without special tokens, and whether each was truncated."""

    tokens: Ints
    unknown: Ints
    is_truncated: Ints  # 0 or 1
    sequences: Ints  # the number of sequences, such as windows or choices
    num_truncated: int  # sequences

    @property
    def num_sequences(self) -> int:
        """The number of sequences of all rows."""
        return int(self.sequences.sum())


def token_findings(name: str, split: AuditedSplit, counts: TokenCounts, model: str) -> Iterator[Finding]:
    """Findings about the tokens of one split. `model` is the name of the encoder."""
    yield from _unknown(name, split, counts, model)
    yield from _too_fine(name, split, counts, model)
    yield from _truncated(name, split, counts)


def _unknown(name: str, split: AuditedSplit, counts: TokenCounts, model: str) -> Iterator[Finding]:
    total, unknown = int(counts.tokens.sum()), int(counts.unknown.sum())
    share = unknown / max(1, total)
    level = next((level for least, level in _UNKNOWN if share >= least), None)
    if level is None:
        return
    by_label = _by_label(split, counts.unknown, counts.tokens)
    worst = max(by_label, key=by_label.__getitem__, default="")
    is_worse = by_label.get(worst, 0.0) > _MUCH_MORE * share
    most = f'; {by_label[worst]:.1%} in texts with the label "{worst}"' if is_worse else ""
    rows = np.argsort(-counts.unknown / np.maximum(counts.tokens, 1), kind="stable")[:10].tolist()
    notes = {row: f"{counts.unknown[row]:,} of {counts.tokens[row]:,} tokens unknown" for row in rows}
    yield Finding(
        "unknown_tokens",
        level,
        f"{name}: {share:.1%} of the tokens are unknown to the tokenizer of {model}{most}",
        "Use a model pretrained on texts of this language and domain",
        unknown,
        total,
        name,
        found_rows(split, rows, notes),
        {"by_label": by_label},
    )


def _too_fine(name: str, split: AuditedSplit, counts: TokenCounts, model: str) -> Iterator[Finding]:
    # Sequences of the same row may share texts.
    rows = np.flatnonzero(counts.sequences == 1).tolist()
    characters = sum(len("".join(text.split())) for row in rows for text in split.texts[row])
    total = int(counts.tokens[rows].sum())
    if not characters or total < _TOO_FINE * characters:
        return
    yield Finding(
        "split_characters",
        "warning",
        f"{name}: the tokenizer of {model} splits single characters: {total / characters:.1f} tokens "
        "per character",
        "Use a model pretrained on texts of this language",
        total,
        characters,
        name,
    )


def _truncated(name: str, split: AuditedSplit, counts: TokenCounts) -> Iterator[Finding]:
    if not counts.num_truncated:
        return
    share = counts.num_truncated / counts.num_sequences
    noun = "text" if counts.num_sequences == len(split.texts) else "sequence"
    message = f"{name}: {truncated(counts.num_truncated, counts.num_sequences, noun)}"
    by_label = _by_label(split, counts.is_truncated, np.ones(len(split.texts), np.int64))
    overall = int(counts.is_truncated.sum()) / len(split.texts)
    sizes = _label_sizes(split)
    z = critical_value(len(by_label))
    more = [
        label
        for label, part in by_label.items()
        if lower_share(round(part * sizes[label]), sizes[label], z) > _MUCH_MORE * overall
    ]
    if more:
        message += "; far more of the label" + ("s " if len(more) > 1 else " ")
        message += ", ".join(f'"{label}" ({by_label[label]:.1%})' for label in more[:3])
    rows = np.flatnonzero(counts.is_truncated).tolist()
    yield Finding(
        "truncated",
        "warning",
        message,
        "",
        counts.num_truncated,
        counts.num_sequences,
        name,
        found_rows(split, rows, {}),
        {"by_label": by_label, "share": round(share, 4)},
    )


def truncated(cut: int, num_sequences: int, noun: str) -> str:
    """`12 of 400 texts (3.0%) are truncated`."""
    share = f"{cut:,} of {counted(num_sequences, noun)} ({cut / num_sequences:.1%})"
    return share + (" is truncated" if cut == 1 else " are truncated")


def _label_sizes(split: AuditedSplit) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for names in split.labels:
        for label in names:
            sizes[label] = sizes.get(label, 0) + 1
    return sizes


def _by_label(split: AuditedSplit, counts: Ints, totals: Ints) -> dict[str, float]:
    """The share of `counts` in `totals` for the labels with enough rows, the largest first."""
    sizes = _label_sizes(split)
    if len(sizes) > len(split.texts) / 2:  # decimal numbers rather than labels
        return {}
    number = {label: at for at, label in enumerate(sizes)}
    owners = np.array([number[label] for names in split.labels for label in names], np.int64)
    rows = np.repeat(np.arange(len(split.labels)), [len(names) for names in split.labels])
    parts = np.bincount(owners, counts[rows], len(number))
    wholes = np.bincount(owners, totals[rows], len(number))
    shares: Mapping[str, float] = {
        label: round(float(parts[at] / max(1, wholes[at])), 4)
        for label, at in number.items()
        if sizes[label] >= _LEAST_OF_LABEL
    }
    return dict(sorted(shares.items(), key=lambda item: -item[1])[:_MOST_LABELS])
