"""The base type of all records, and their validation."""

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from bertune.errors import DamagedError, InputError
from bertune.files import CHECKSUM, is_intact, read_object, shown_path

Number = float | int  # whole numbers are stored as int


class Record(BaseModel):
    """A group of recorded values. Each may be missing or null, but must not have another type."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, populate_by_name=True)

    def to_json(self) -> dict[str, Any]:
        """The recorded values as plain JSON, without those that were not set."""
        return self.model_dump(by_alias=True, exclude_unset=True)


Kind = TypeVar("Kind", bound=BaseModel)


def read_sealed(path: Path, kind: type[Kind], newest: int) -> Kind:
    """Read a JSON file as a record, and verify its checksum, its format number and its types.

    `newest` is the highest format number that can be read. Raises DamagedError and InputError.
    """
    content = read_object(path)
    if CHECKSUM not in content or not is_intact(content):
        raise DamagedError(
            f"{shown_path(path)} does not match its checksum: it is damaged or was changed after bertune "
            "wrote it. Restore it from a copy, or start again with another --out"
        )
    number = content.get("format")
    if isinstance(number, int) and number > newest:
        raise InputError(
            f"{shown_path(path.parent)} has format {number}, but this bertune reads formats up to {newest}. "
            "Upgrade bertune"
        )
    return checked(kind, content, path)


def checked(kind: type[Kind], value: object, path: Path) -> Kind:
    """Validate a value as a record. Raises DamagedError with the file and every invalid key."""
    try:
        return kind.model_validate(value)
    except ValidationError as error:
        problems: dict[str, str] = {}
        for one in error.errors():
            # For a union, pydantic appends the member type to the location, which users do not need.
            place = ".".join(str(part) for part in one["loc"] if not str(part)[:1].isupper()) or "(top level)"
            for member in (".float", ".int", ".str", ".list[str]"):
                place = place.removesuffix(member)
            problems.setdefault(place, f"{place} is {_shown(one['input'])} ({one['msg'].lower()})")
        listed = "; ".join(list(problems.values())[:5])
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise DamagedError(f"{shown_path(path)} is damaged: {listed}{more}") from error


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}…"
