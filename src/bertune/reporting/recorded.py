"""Owns the look-ups in a manifest: which splits there are, whose scores count, and what rows are called."""

from bertune.files import JsonObject
from bertune.reporting.wording import in_order


def splits_of(manifest: JsonObject) -> dict[str, JsonObject]:
    """The recorded splits in the order of their use."""
    splits = (manifest.get("data") or {}).get("splits") or {}
    return {name: splits[name] for name in in_order(splits)}


def row_noun(manifest: JsonObject) -> str:
    """What a row is called: text, question …"""
    return str(manifest.get("row_noun") or "text")


def is_row_a_sequence(manifest: JsonObject) -> bool:
    """Whether tokens were counted of whole rows, not of windows over them or of parts of theirs."""
    splits = splits_of(manifest).values()
    return all(split.get("sequences") in (None, split.get("rows")) for split in splits)


def num_sequences(split: JsonObject) -> int | None:
    """What lengths were counted of."""
    number: int | None = split.get("sequences") or split.get("rows")
    return number


def num_rows(manifest: JsonObject, split: str) -> int | None:
    """The recorded number of rows in a split."""
    rows: int | None = (splits_of(manifest).get(split) or {}).get("rows")
    return rows


def scored(manifest: JsonObject, split: str) -> tuple[int, str] | None:
    """What the scores of a split are the mean over: how many, and what; None where it was not recorded."""
    details = (manifest.get("details") or {}).get(split) or {}
    if details.get("unit") and details.get("count") is not None:
        return details["count"], details["unit"]
    rows = num_rows(manifest, split)
    return (rows, row_noun(manifest)) if rows else None


def final_split(manifest: JsonObject) -> str | None:
    """The split whose scores count: test, else validation; None before any evaluation."""
    scores = manifest.get("scores") or {}
    return next((split for split in ("test", "validation") if scores.get(split)), None)


def final_details(manifest: JsonObject) -> tuple[str, JsonObject]:
    """The split that counts and its details per class and batch; empty where none are recorded."""
    details = manifest.get("details") or {}
    chosen = next(
        (name for name in (final_split(manifest), "test", "validation") if name and details.get(name)), ""
    )
    return chosen, details.get(chosen) or {}
