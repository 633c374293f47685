"""Findings about copies: duplicates, conflicting labels, and groups that are in several splits."""

from collections.abc import Iterator, Mapping

import numpy as np

from bertune.audit.duplicates import NONE, Duplicates, Repeats
from bertune.audit.findings import MOST_ROWS, AuditedSplit, Finding, Level, found_rows
from bertune.audit.words import Ints
from bertune.errors import counted, plural

# Share of the rows of an evaluated split from which its scores cannot be trusted.
_MANY = 0.1
# Near duplicates are often by design, such as templates or contrasting pairs: fewer are only worth a note.
_FEW_NEAR = 0.01

Splits = Mapping[str, AuditedSplit]


def copies(splits: Splits, duplicates: Duplicates, noun: str) -> Iterator[Finding]:
    """All findings about copies. `noun` is what a row is called, such as "text"."""
    names = list(splits)
    for number, split in enumerate(names):
        for of in names[: number + 1]:
            found = duplicates.repeats(split, of)
            pair = (split, of)
            yield from _conflicts(splits, pair, found, noun)
            yield from _exact(splits, pair, found, noun)
            yield from _near(splits, pair, found, noun)
            if of != split:
                yield from _straddling(splits, pair, noun)
    if duplicates.unsearched:
        yield Finding(
            "near_duplicates_not_searched",
            "note",
            f"near duplicates were not searched among {counted(duplicates.unsearched, 'long text')}, because "
            "the package rensa is not installed",
            "Install it with: pip install 'bertune[train]'",
            duplicates.unsearched,
            len(duplicates.texts),
        )


def num_conflicts(split: AuditedSplit, of: AuditedSplit, repeated: Ints) -> int:
    """The number of rows of a split that repeat a row of `of` but have a different gold label."""
    return len(_conflicting(split, of, repeated, is_exact=True))


def _conflicting(split: AuditedSplit, of: AuditedSplit, repeated: Ints, is_exact: bool) -> list[int]:
    """The rows whose gold differs; for texts that are not identical, whose label names differ.

    The gold of a word or an answer depends on the exact text, the names of labels do not.
    """
    at = np.flatnonzero(repeated != NONE).tolist()
    by_name = not is_exact and any(split.labels)
    ours, theirs = (split.labels, of.labels) if by_name else (split.gold, of.gold)
    return [row for row in at if ours[row] != theirs[int(repeated[row])]]


def _exact(splits: Splits, pair: tuple[str, str], found: Repeats, noun: str) -> Iterator[Finding]:
    split, of = pair
    count, total = found.num_exact, len(splits[split].texts)
    if not count:
        return
    notes = _repeats(splits, pair, found.exact)
    rows = found_rows(splits[split], np.flatnonzero(found.exact != NONE).tolist(), notes)
    if split == of:
        repeat = f"{counted(count, noun)} {'repeats' if count == 1 else 'repeat'} an earlier {noun}"
        remedy = "Set data.deduplicate=true to train on each text only once" if split == "train" else ""
        yield Finding(
            "exact_duplicates", "note", f"{split}: {repeat} exactly", remedy, count, total, split, rows
        )
        return
    are = f"{'is' if count == 1 else 'are'} also in {of}, which inflates the {split} scores"
    message = f"{count:,} of the {split} {plural(noun)} {are}"
    yield Finding(
        "exact_duplicates_across", _level(count, total), message, _remedy(of), count, total, split, rows,
        {"with": of},
    )  # fmt: skip


def _near(splits: Splits, pair: tuple[str, str], found: Repeats, noun: str) -> Iterator[Finding]:
    split, of = pair
    at = np.flatnonzero(found.near != NONE).tolist()
    count, total = len(at), len(splits[split].texts)
    if not count:
        return
    rows = found_rows(splits[split], at, _repeats(splits, pair, found.near))
    if split == of:
        subject = f"{counted(count, noun)} {'is a near duplicate' if count == 1 else 'are near duplicates'}"
        remedy = "Set data.near_duplicates=drop to train on each text only once" if split == "train" else ""
        message = f"{split}: {subject} of an earlier {noun}"
        yield Finding("near_duplicates", "note", message, remedy, count, total, split, rows)
        return
    are = "is a near duplicate" if count == 1 else "are near duplicates"
    message = f"{count:,} of the {split} {plural(noun)} {are} of a {noun} in {of}"
    remedy = _remedy(of, "data.near_duplicates=drop")
    level: Level = "note" if count < _FEW_NEAR * total else "warning"
    kind = "near_duplicates_across"
    yield Finding(kind, level, message, remedy, count, total, split, rows, {"with": of})


def _conflicts(splits: Splits, pair: tuple[str, str], found: Repeats, noun: str) -> Iterator[Finding]:
    split, of = pair
    where = "an earlier" if split == of else f"a {of}"
    for repeated, kind, how in (
        (found.exact, "conflicting_labels", "repeat"),
        (found.alike, "conflicting_labels_near", "nearly repeat"),
    ):
        at = _conflicting(splits[split], splits[of], repeated, repeated is found.exact)
        if not at:
            continue
        notes = {}
        for row in at[:MOST_ROWS]:
            other = int(repeated[row])
            ours, theirs = _gold(splits[split], row), _gold(splits[of], other)
            place = _other_place(splits, pair, row, other)
            notes[row] = f"{ours}; {place}: {theirs}" if ours != theirs else f"repeats {place}"
        verb = how.replace("repeat", "repeats") if len(at) == 1 else how
        total = len(splits[split].texts)
        yield Finding(
            kind,
            "warning" if kind == "conflicting_labels" else "note",
            f"{split}: {counted(len(at), 'row')} {verb} {where} {noun} with a different label",
            "Correct the labels or remove the rows",
            len(at),
            total,
            split,
            found_rows(splits[split], at, notes),
            {"with": of},
        )


def _straddling(splits: Splits, pair: tuple[str, str], noun: str) -> Iterator[Finding]:
    split, of = pair
    first: dict[object, int] = {}
    for row, group in enumerate(splits[of].groups):
        if group is not None:
            first.setdefault(group, row)
    inside = [(row, group) for row, group in enumerate(splits[split].groups) if group in first]
    if not inside:
        return
    num_groups, total = len({group for _, group in inside}), len(splits[split].texts)
    notes = {
        row: f"same group as {_other_place(splits, pair, row, first[group])}"
        for row, group in inside[:MOST_ROWS]
    }
    belong = "belongs" if len(inside) == 1 else "belong"
    yield Finding(
        "straddling_groups",
        _level(len(inside), total),
        f"{len(inside):,} of the {split} {plural(noun)} {belong} to {counted(num_groups, 'group')} with "
        f"rows in {of}, which inflates the {split} scores",
        f"Keep each group in one split: move its rows, or let bertune split the {of} rows",
        len(inside),
        total,
        split,
        found_rows(splits[split], [row for row, _ in inside], notes),
        {"with": of, "groups": num_groups},
    )


def _repeats(splits: Splits, pair: tuple[str, str], repeated: Ints) -> dict[int, str]:
    """The note for each of the first rows that repeat another."""
    at = np.flatnonzero(repeated != NONE)[:MOST_ROWS].tolist()
    return {row: f"repeats {_other_place(splits, pair, row, int(repeated[row]))}" for row in at}


def _other_place(splits: Splits, pair: tuple[str, str], row: int, other: int) -> str:
    """The place of a row of `pair[1]`, without the file if the row of `pair[0]` has the same one."""
    origin = splits[pair[1]].origins[other]
    is_same_file = origin.file == splits[pair[0]].origins[row].file
    return f"{origin.unit} {origin.line}" if is_same_file else str(origin)


def _gold(split: AuditedSplit, row: int) -> str:
    names, gold = split.labels[row], split.gold[row]
    return ", ".join(names) if names else f"{gold:g}" if isinstance(gold, float) else ""


def _level(count: int, total: int) -> Level:
    return "error" if count >= _MANY * total else "warning"


def _remedy(of: str, setting: str = "data.deduplicate=true") -> str:
    if of != "train":
        return "Remove them from one of the splits"
    return f"Set {setting} to drop them from the training set"
