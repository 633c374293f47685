"""Error messages for invalid JSON: where parsing failed, and whether the file is truncated."""

import json
import re
from pathlib import Path

from bertune.data.readers._objects import JsonFault
from bertune.data.readers._shown import shortened

_AROUND = 30  # characters shown on either side of the error
_ID = re.compile(r'"id"\s*:\s*("(?:[^"\\]|\\.)*"|\d+)')


def invalid_json(path: Path, text: str, error: json.JSONDecodeError) -> str:
    """The error message for a file that could not be parsed.

    A published file is often a single line of several megabytes. The text around the error and the last "id"
    before it are then more useful than the line number.
    """
    if isinstance(error, JsonFault):
        return fault(f"{path}, line {error.lineno}", error)
    line = text.split("\n")[error.lineno - 1]
    at = error.colno - 1
    if len(line) <= 2 * _AROUND:
        seen = shortened(line)
    else:
        seen = ("…" if at > _AROUND else "") + shortened(line[max(0, at - _AROUND) :], 2 * _AROUND)
    ids = _ID.findall(text, 0, error.pos)
    after = f", after the ID {ids[-1]}" if ids else ""
    is_cut = error.pos >= len(text.rstrip()) or error.msg.startswith("Unterminated")
    remedy = "The file is truncated; download or write it again" if is_cut else "Correct the file"
    return (
        f"{path}, line {error.lineno}: not valid JSON ({error.msg}, column {error.colno}{after}): {seen}. "
        f"{remedy}"
    )


def fault(place: str, error: JsonFault) -> str:
    """The error message for valid JSON that bertune refuses."""
    return f"{place}, column {error.colno}: {error.msg}. {error.remedy}"
