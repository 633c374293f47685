"""The findings about small splits of plain values."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bertune.audit.auditing import Subject, audit
from bertune.audit.duplicates import find_duplicates
from bertune.audit.findings import AuditedSplit, Finding
from bertune.audit.source_columns import Column
from bertune.audit.tokens import TokenCounts
from bertune.data.rows import Origin


def split(
    texts: Sequence[str | tuple[str, ...]],
    gold: Sequence[Any],
    name: str = "train",
    groups: Sequence[Any] = (),
    columns: Mapping[str, Column] | None = None,
) -> AuditedSplit:
    """A split whose rows are lines of NAME.csv."""
    return AuditedSplit(
        texts=[(text,) if isinstance(text, str) else text for text in texts],
        gold=gold,
        labels=[() if isinstance(g, float) else g if isinstance(g, tuple) else (str(g),) for g in gold],
        origins=[Origin(f"{name}.csv", line) for line in range(2, len(texts) + 2)],
        groups=groups,
        columns=columns or {},
    )


def whole(rows: AuditedSplit) -> TokenCounts:
    """Ten known tokens for each row, none truncated."""
    num = len(rows.texts)
    return TokenCounts(
        np.full(num, 10), np.zeros(num, np.int64), np.zeros(num, np.int64), np.ones(num, np.int64), 0
    )


def findings(
    splits: Mapping[str, AuditedSplit],
    tokens: Mapping[str, TokenCounts] | None = None,
    columns: Sequence[str] = ("text",),
    **subject: Any,
) -> list[Finding]:
    """All findings."""
    duplicates = find_duplicates({name: rows.texts for name, rows in splits.items()})
    counts = {name: (tokens or {}).get(name, whole(rows)) for name, rows in splits.items()}
    return list(audit(splits, duplicates, counts, Subject(columns, "some-model", **subject)))


def only(found: Sequence[Finding], kind: str) -> Finding:
    """The single finding of a kind."""
    (finding,) = [one for one in found if one.kind == kind]
    return finding


def distinct(count: int, seed: int = 0) -> list[str]:
    """Texts of ten words that are no near duplicates."""
    random = np.random.default_rng([7, seed])
    return [" ".join(f"w{n}" for n in random.integers(0, 500, 10).tolist()) for _ in range(count)]
