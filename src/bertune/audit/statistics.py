"""Statistics of a split that are reported before training: label balance, lengths, truncation."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from bertune.data.rows import Origin

_PERCENTILES = (50, 90, 95, 99)
_TRIAL_LENGTHS = (64, 128, 256, 512)
_MOST_LABELS = 10_000  # labels reported by name; decimal scores can be as many as there are rows
Texts = tuple[str, ...]


def split_statistics(
    num_rows: int, names: Counter[str], lengths: Sequence[int], max_length: int
) -> dict[str, Any]:
    """The statistics of one split as plain JSON.

    `names` counts its labels. `lengths` are token counts before truncation, including special tokens.
    """
    tokens = np.asarray(lengths)
    top = max(8, int(np.ceil(tokens.max() / 8)) * 8)
    counts, edges = np.histogram(tokens, bins=min(40, top // 2), range=(0, top))
    return {
        "rows": num_rows,
        "sequences": len(tokens),
        "labels": dict(names.most_common(_MOST_LABELS)),
        **({"labels_left_out": len(names) - _MOST_LABELS} if len(names) > _MOST_LABELS else {}),
        "truncated": int((tokens > max_length).sum()),
        "tokens": {
            "min": int(tokens.min()),
            **{f"p{p}": int(np.percentile(tokens, p, method="higher")) for p in _PERCENTILES},
            "max": int(tokens.max()),
            "mean": round(float(tokens.mean()), 1),
        },
        "truncated_at": {
            str(n): round(float((tokens > n).mean()), 4) for n in _TRIAL_LENGTHS if n < tokens.max()
        },
        "histogram": {"edges": [round(float(e), 1) for e in edges], "counts": counts.tolist()},
    }


def all_numbers(texts: Sequence[Texts]) -> bool:
    """Whether a text column holds only numbers. Such a column is probably the wrong one."""
    return any(all(_is_number(text[column]) for text in texts) for column in range(len(texts[0])))


def longest_text(lengths: Sequence[int], origins: Sequence[Origin]) -> tuple[int, Origin]:
    """The maximum token count and the origin of that sequence."""
    position = int(np.argmax(np.asarray(lengths)))
    return lengths[position], origins[position]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
