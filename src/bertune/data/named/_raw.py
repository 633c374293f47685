"""Owns what data sets have in common whose files lie ready to read in a public repository."""

from collections.abc import Mapping

from bertune.config import Settings
from bertune.data.named._dataset import Check, Dataset, Download, File, Use, has_sha256

# Many Chinese sets, in one shape: no header, tabs, the label last.
BERTORCH = (
    "https://raw.githubusercontent.com/zejunwang1/bertorch/cd2075223142ad3d21dc4221e8a12ed8c730b052/data/"
)
SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
XQUAD = "https://raw.githubusercontent.com/deepmind/xquad/60cac411649156efb6aab9dd4c9cde787a2c0345/"


def github(repository: str, commit: str, folder: str) -> str:
    """The address of a folder as it was at a commit."""
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{folder}/"


def raw(
    address: str,
    files: Mapping[Use, tuple[str, str | Check]],
    settings: Settings,
    only_own: File | None = None,
    folder: str | None = None,
    published: Mapping[str, str] | None = None,
) -> Dataset:
    """A data set of files as they are at `address`: for each use its name, and its SHA-256 or a check.

    `published` has the names there of files that are called otherwise here.
    """
    checks = {
        use: (name, has_sha256(known) if isinstance(known, str) else known)
        for use, (name, known) in files.items()
    }
    return Dataset(
        settings=settings,
        files=(
            *([only_own] if only_own is not None else []),
            *(File(use, name, check) for use, (name, check) in checks.items()),
        ),
        sources=tuple(
            Download(
                address + (published or {}).get(name, name),
                name,
                known if isinstance(known, str) else None,
                at_most=64 << 20,
            )
            for name, known in files.values()
        ),
        folder=folder,
    )


def by_number(texts: int, **more: object) -> dict[str, object]:
    """The settings of [data] for lines of so many texts and a label between tabs, without a header."""
    return {
        "text": [str(number) for number in range(texts)],
        "label": str(texts),
        "header": False,
        "quoting": False,
        "delimiter": "tab",
        **more,
    }
