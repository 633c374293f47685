"""Detects the separator between the labels of a cell, such as | in joy|fear."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any

from bertune.tasks.multilabel.vectors import duplicate_label

AUTO, COMMA = "auto", ","
# Characters that label names rarely contain.
_USUAL = ("|", ";", "\n", "#", "；", "、", "，")
# They also occur inside of names, as in "New York", "R&B" and "Science/Tech".
_POSSIBLE = ("/", "&", "+", " ")


def with_labels_split(examples: Sequence[Any]) -> list[Any]:
    """The examples of a table, with labels split at another character than the comma if they are joined.

    Raises DataError for a duplicate label in a cell that is split.
    """
    if any(len(e.gold or ()) > 1 or e.vector is not None for e in examples):
        return list(examples)
    sign = separator_of({name for e in examples for name in e.gold or ()})
    if sign is None:
        return list(examples)
    return [_with_split(e, sign) if e.gold is not None else e for e in examples]


def _with_split(example: Any, sign: str) -> Any:
    parts = tuple(part for name in example.gold for part in _pieces(name, sign) if part)
    duplicate = next((part for at, part in enumerate(parts) if part in parts[:at]), None)
    if duplicate is not None:
        raise duplicate_label(example.origin, duplicate)
    return replace(example, gold=parts, separator=sign)


def separator_of(names: Collection[str]) -> str | None:
    """The character that separates labels in `names`, of which none has a comma; None if there is none.

    It separates labels if the parts recur in several names, so that there are no more labels than before.
    """
    return next((sign for sign in _USUAL if _recur(names, sign)), None)


def separator_hint(names: Collection[str]) -> str:
    """Advice on a character that may separate labels in `names`; empty if none does."""
    signs = [sign for sign in _USUAL if any(_parts(name, sign) for name in names)]
    signs += [sign for sign in _POSSIBLE if _recur(names, sign)]
    if not signs:
        return ""
    example = next(name for name in names if signs[0] in name)
    return (
        f'labels: no text has more than one label; if "{example[:60]}" is several labels, set'
        f" task.separator={shown(signs[0])}"
    )


def shown(sign: str) -> str:
    """A separator as it is set on the command line."""
    return {"\n": "$'\\n'"}.get(sign, f"'{sign}'")


def _recur(names: Collection[str], sign: str) -> bool:
    cells = [_parts(name, sign) or (name.strip(sign),) for name in names]
    parts = [part for cell in cells for part in cell]
    return len(parts) > len(cells) >= len(set(parts))


def _parts(name: str, sign: str) -> tuple[str, ...]:
    """The parts between separators; empty unless there are at least two, all different and not empty."""
    pieces = _pieces(name, sign)
    return tuple(pieces) if len(pieces) > 1 and all(pieces) and len(set(pieces)) == len(pieces) else ()


def _pieces(name: str, sign: str) -> list[str]:
    return [piece.strip() for piece in name.strip(f"{sign} ").split(sign)]
