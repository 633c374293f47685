"""CLINC150: 150 intents of English queries to an assistant, and out-of-scope queries (Larson et al. 2019).

The published file holds all splits. Out-of-scope queries have the label oos.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from bertune.data.named._dataset import Dataset, Download, File, Use, has_rows
from bertune.data.named._raw import github
from bertune.errors import DataError

_PUBLISHED = "data_full.json"
_PARTS = {"train": ("train", "oos_train"), "validation": ("val", "oos_val"), "test": ("test", "oos_test")}
_ROWS: dict[Use, int] = {"train": 15_100, "validation": 3_100, "test": 5_500}


def _build(sources: Mapping[str, Path], folder: Path) -> None:
    """Write one file per split: queries with an intent, then out-of-scope ones, as {"text", "label"}."""
    try:
        published = json.loads(sources[_PUBLISHED].read_text(encoding="utf-8"))
        splits = {use: [row for part in parts for row in published[part]] for use, parts in _PARTS.items()}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{_PUBLISHED}: not in the published format ({error!r})") from error
    for use, rows in splits.items():
        with (folder / f"{use}.jsonl").open("w", encoding="utf-8", newline="\n") as file:
            for text, label in rows:
                file.write(json.dumps({"text": text, "label": label}, ensure_ascii=False) + "\n")


DATASET = Dataset(
    settings={"data": {"text": ["text"], "label": "label"}, "train": {"best_metric": "accuracy"}},
    files=tuple(File(use, f"{use}.jsonl", has_rows(count)) for use, count in _ROWS.items()),
    sources=(
        Download(
            github("clinc/oos-eval", "828f8093932c8fe6ca7936c3d2e52903b1c523de", "data") + _PUBLISHED,
            _PUBLISHED,
            sha256="36923c3705a59e08fe9c3883d8bc2dd966ef93e22cb78ac41171782a698d56e0",
            at_most=16 << 20,
        ),
    ),
    build=_build,
)
