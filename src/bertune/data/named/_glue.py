"""Shared definition of the GLUE data sets: a zip archive of tab-separated files with a header."""

from typing import Any

from bertune.data.named._dataset import Dataset, Download, File, Use, has_columns, unpack

_USUAL: dict[Use, str] = {"train": "train.tsv", "validation": "dev.tsv"}


def glue(
    archive: str,
    columns: str,
    best_metric: str,
    files: dict[Use, str] = _USUAL,
    task: dict[str, Any] | None = None,
    folder: str | None = None,
) -> Dataset:
    """A GLUE data set.

    `columns` are the first columns of the header: `+` marks a text column, a trailing `*` the label column.
    Without a `*`, the label is `gold_label`, the last column.
    """
    names = columns.split()
    header = [name.strip("*").removeprefix("+") for name in names]
    settings: dict[str, Any] = {
        "data": {
            "text": [name.removeprefix("+") for name in names if name.startswith("+")],
            "label": next((name.strip("*") for name in names if name.endswith("*")), "gold_label"),
            "header": True,
            "quoting": False,
            "delimiter": "tab",
        },
        "train": {"best_metric": best_metric},
    }
    if task is not None:
        settings["task"] = task
    inside = archive.split("-clean")[0].removesuffix(".zip").removesuffix("v2")
    return Dataset(
        settings=settings,
        files=tuple(File(use, name, has_columns(header)) for use, name in files.items()),
        sources=(
            Download(
                f"https://dl.fbaipublicfiles.com/glue/data/{archive}", archive, sha256=None, at_most=512 << 20
            ),
        ),
        build=unpack({f"{inside}/{name}": name for name in files.values()}),
        folder=folder,
    )
