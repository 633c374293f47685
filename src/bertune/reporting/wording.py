"""Formats numbers, score names and untrusted text for display."""

import math
import unicodedata
from collections.abc import Iterable
from typing import Any

from bertune.manifest.details import Interval

MISSING = "–"
ACRONYMS = {"mcc", "f1", "auc", "roc", "ece", "map", "mrr", "em", "mse", "rmse", "mae", "r2", "p"}
SPELLED = {word: word.upper() for word in ACRONYMS} | {
    "ndcg": "nDCG",
    "r2": "R²",
    "pearson": "Pearson",
    "spearman": "Spearman",
    "hamming": "Hamming",
}
NAMES = {"pearson_spearman": "Pearson–Spearman mean"}  # scores that are not named word by word
TITLES = {
    "mcc": "Matthews correlation (MCC)",
    "roc_auc": "area under the ROC curve",
    "em": "exact match (EM)",
    "map": "mean average precision (MAP)",
    "pearson_spearman": "mean of Pearson and Spearman correlation",
    "r2": "coefficient of determination (R²)",
}


def real(value: Any) -> float | None:
    """The value of a recorded score (a number, null or an interval), or None if it is not finite."""
    if isinstance(value, dict):
        value = value.get("value")
    elif isinstance(value, Interval):
        value = value.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def decimal(value: Any, digits: int = 3) -> str:
    """`0.225`, with a typographic minus sign, or a dash if there is no value."""
    number = real(value)
    return MISSING if number is None else f"{number:.{digits}f}".replace("-", "−")


def interval(value: Any) -> str:
    """`0.140 to 0.310` if the score was recorded with its bounds, else an empty string."""
    if not isinstance(value, Interval) or real(value.low) is None or real(value.high) is None:
        return ""
    return f"{decimal(value.low)} to {decimal(value.high)}"


def count(value: Any) -> str:
    """`8,551`."""
    number = real(value)
    return MISSING if number is None else f"{round(number):,}"


def percent(part: Any, whole: Any) -> str:
    """`0.4%`; a nonzero share that would round to 0.0% is shown as `< 0.1%`."""
    numerator, denominator = real(part), real(whole)
    if numerator is None or not denominator:
        return MISSING
    share = 100 * numerator / denominator
    return "< 0.1%" if 0 < share < 0.05 else f"{share:.1f}%"


def scientific(value: Any) -> str:
    """`5e-05`, `0.01`: up to three significant digits."""
    number = real(value)
    return MISSING if number is None else f"{number:.3g}".replace("-", "−")


def value_text(value: Any) -> str:
    """The value of a setting, as written on the command line."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return str(value).lower()
    return scientific(value) if isinstance(value, float) else visible(value)


def magnitude(value: Any) -> str:
    """`22.7 million`, for parameter counts."""
    number = real(value)
    if number is None:
        return MISSING
    for size, word in ((1e9, "billion"), (1e6, "million")):
        if number >= size:
            return f"{number / size:.1f} {word}"
    return count(number)


def duration(value: Any) -> str:
    """`41.2 s`, `3 min 12 s`, `2 h 5 min`."""
    number = real(value)
    if number is None:
        return MISSING
    if number < 60:
        return f"{number:.1f} s"
    minutes, seconds = divmod(round(number), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"


def score_name(key: str) -> str:
    """The display name of a score: `macro F1` for `macro_f1`, `nDCG@10` for `ndcg@10`."""
    if key in NAMES:
        return NAMES[key]
    words = (word.partition("@") for word in key.split("_"))
    return " ".join(f"{SPELLED.get(word, word)}{at}{rest}" for word, at, rest in words)


def score_title(key: str) -> str:
    """The long form of a score's name, for the headline."""
    return TITLES.get(key, score_name(key))


def visible(text: Any) -> str:
    """The text with control characters escaped, as in `\\x00`; `(empty)` if it is blank."""
    shown = escaped(text)
    return shown if shown.strip() else "(empty)"


def escaped(text: Any) -> str:
    """The text with control characters escaped; blank text stays blank."""
    return "".join(f"\\x{ord(c):02x}" if ord(c) < 32 and c not in "\n\t" else c for c in str(text))


def plain(text: Any, most: int = 18) -> str:
    """One short line without control, format or surrogate characters, for use in a figure."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(text))
    line = " ".join(kept.split())
    return line if len(line) <= most else line[: most - 1] + "…"


def in_order(names: Iterable[str]) -> list[str]:
    """Split names in the usual order: train, validation, test, then any others."""
    usual = ["train", "validation", "test"]
    return sorted(names, key=lambda name: (usual.index(name) if name in usual else len(usual), name))
