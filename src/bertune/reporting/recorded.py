"""Owns the look-ups in a manifest: which splits there are, and whose scores count."""

from bertune.reporting.wording import in_order
from bertune.run import JsonObject


def splits_of(manifest: JsonObject) -> dict[str, JsonObject]:
    """The recorded splits in the order of their use."""
    splits = (manifest.get("data") or {}).get("splits") or {}
    return {name: splits[name] for name in in_order(splits)}


def num_rows(manifest: JsonObject, split: str) -> int | None:
    """The recorded number of texts in a split."""
    rows: int | None = (splits_of(manifest).get(split) or {}).get("rows")
    return rows


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
