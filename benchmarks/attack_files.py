"""Damages one file of a run in the ways of power failures, bad disks and old backups."""

import random
from pathlib import Path

WAYS = ("a flipped bit", "a zeroed tail", "truncated", "emptied", "gone", "an older version")
_TEMPORARY = ".bertune-tmp"


def kinds(run: Path) -> dict[str, list[Path]]:
    """The files of a run by kind, without those that users edit; the newest file of a kind comes last."""
    found: dict[str, list[Path]] = {}
    for path in sorted(run.rglob("*")):
        inside = path.relative_to(run)
        is_own = path.name == ".bertune-lock" or any(part.endswith(_TEMPORARY) for part in inside.parts)
        is_the_users = inside.parts[0] == "label-errors" or inside.as_posix() == "model/README.md"
        if path.is_file() and not is_own and not is_the_users:
            found.setdefault(_kind(inside), []).append(path)
    return found


def _kind(inside: Path) -> str:
    folder, name = inside.parts[0], inside.name
    if folder == "checkpoints":
        if name.startswith("best-"):
            return "spare best weights" if ".spare." in name else "best weights"
        return f"checkpoints/step/{name}"
    if folder in ("frozen", "report"):
        return f"{folder}/*{inside.suffix}"
    return inside.as_posix()


def damage(draw: random.Random, path: Path, way: str, older: bytes | None) -> bool:
    """Damages a file; returns whether its content changed."""
    before = path.read_bytes()
    if way == "gone":
        path.unlink()
        return True
    if not before or (way == "an older version" and older is None):
        return False
    place = draw.randrange(len(before))
    flipped = before[place] ^ 1 << draw.randrange(8)
    after = {
        "a flipped bit": before[:place] + bytes([flipped]) + before[place + 1 :],
        "a zeroed tail": before[:place] + bytes(len(before) - place),
        "truncated": before[:place],
        "emptied": b"",
        "an older version": older or b"",
    }[way]
    path.write_bytes(after)
    return after != before


def older_version(run: Path, path: Path) -> bytes | None:
    """The content of a file of an unfinished run some steps earlier; None if unknown."""
    others: list[Path] = []
    if path.parent.name.startswith("step-"):
        others = [other / path.name for other in sorted(path.parent.parent.glob("step-*"))]
    elif path.name.startswith("best-"):
        others = [o for o in sorted(path.parent.glob("best-*")) if o.name[:13] != path.name[:13]]
    elif path == run / "metrics.jsonl":
        lines = path.read_bytes().splitlines(keepends=True)
        return b"".join(lines[: len(lines) // 2])
    others = [other for other in others if other != path and other.is_file()]
    return others[0].read_bytes() if others else None
