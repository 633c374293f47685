"""Shared definition of data sets whose files are published uncompressed, in a format bertune reads."""

from collections.abc import Mapping

from bertune.config import Settings
from bertune.data.named._dataset import Check, Dataset, Download, File, Use, has_sha256

# Chinese data sets in one layout: no header, tab-separated, the label last.
BERTORCH = (
    "https://raw.githubusercontent.com/zejunwang1/bertorch/cd2075223142ad3d21dc4221e8a12ed8c730b052/data/"
)
SQUAD = "https://rajpurkar.github.io/SQuAD-explorer/dataset/"
XQUAD = "https://raw.githubusercontent.com/deepmind/xquad/60cac411649156efb6aab9dd4c9cde787a2c0345/"


def github(repository: str, commit: str, folder: str) -> str:
    """The URL of a folder of a GitHub repository at a fixed commit."""
    return f"https://raw.githubusercontent.com/{repository}/{commit}/{folder}/"


def raw(
    address: str,
    files: Mapping[Use, tuple[str, str | Check]],
    settings: Settings,
    only_own: File | None = None,
    folder: str | None = None,
    published: Mapping[str, str] | None = None,
) -> Dataset:
    """A data set whose files are used as published under the URL `address`.

    `files` holds a name and a SHA-256, or a check, for each split. `published` maps a name to the name of the
    file at `address`, where the two differ.
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
    """The settings of [data] for tab-separated lines of `texts` texts and a label, without a header."""
    return {
        "text": [str(number) for number in range(texts)],
        "label": str(texts),
        "header": False,
        "quoting": False,
        "delimiter": "tab",
        **more,
    }
