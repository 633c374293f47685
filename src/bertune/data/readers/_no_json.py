"""Owns what is said of a file that is no JSON: where it breaks, and whether it was cut off."""

import json
import re
from pathlib import Path

from bertune.data.readers._objects import JsonFault
from bertune.data.readers._shown import shortened

_AROUND = 30  # characters shown on either side of the break
_ID = re.compile(r'"id"\s*:\s*("(?:[^"\\]|\\.)*"|\d+)')


def no_json(path: Path, text: str, error: json.JSONDecodeError) -> str:
    """What is wrong with a file that could not be parsed, and what to do.

    A published file is often one line of megabytes: what stands at the break, and the last "id" before it,
    tell more than the line's number.
    """
    if isinstance(error, JsonFault):
        return fault(f"{path}, line {error.lineno}", error)
    line = text.split("\n")[error.lineno - 1]
    at = error.colno - 1
    if len(line) <= 2 * _AROUND:
        seen = shortened(line)
    else:
        seen = ("…" if at > _AROUND else "") + shortened(line[max(0, at - _AROUND) :], 2 * _AROUND)
    known = _ID.findall(text, 0, error.pos)
    behind = f", behind the id {known[-1]}" if known else ""
    is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
    remedy = "the file ends too early: get it again, whole" if is_cut else "correct the file"
    return (
        f"{path}, line {error.lineno}: this is no JSON ({error.msg}, column {error.colno}{behind}): {seen}; "
        f"{remedy}"
    )


def fault(place: str, error: JsonFault) -> str:
    """What bertune refuses in JSON that can be parsed."""
    return f"{place}, column {error.colno}: {error.msg}. {error.remedy}"
