"""C3: questions on Chinese dialogues and mixed-genre texts, with two to four choices (Sun et al. 2020).

Dialogues and mixed-genre texts are published in separate files; as in CLUE, each split joins the two.
"""

import json
from collections.abc import Mapping
from pathlib import Path

from bertune.data.named._dataset import Dataset, Download, File, Use, has_rows
from bertune.data.named._raw import github
from bertune.errors import DataError

_ADDRESS = github("nlpdata/c3", "1f41682ebb684d63afe7c583c8f38e137fc8a826", "data")
_SHA256 = {
    "c3-d-train.json": "baf81f327dee84c6f451c9a4dd662e6193c67473b8791ffb72cce75cdb528f20",
    "c3-m-train.json": "4c84a534f1eec2c72e5f60f0c044cc39e2e42a88df01134e677e03217472d6af",
    "c3-d-dev.json": "8c7054930a40aeb288ad7c51c42fa93d54aef678ccab29c75d46a7432f4f6278",
    "c3-m-dev.json": "357d0d8d2a29bc845cbe50e048c263629f5e527b70f24c3e0838c387c8d3cb54",
    "c3-d-test.json": "e9920491b31f9d00ecf31e51727b495dd6b0d05f4a96f273a343e81b6775a8f0",
    "c3-m-test.json": "7d8074be56cf574536a3284bc2d6b04d137694d5e5f5b1368143c0cf3e336822",
}
_QUESTIONS = {"train": 11_869, "dev": 3_816, "test": 3_892}
_USES: dict[str, Use] = {"train": "train", "dev": "validation", "test": "test"}


def _build(sources: Mapping[str, Path], folder: Path) -> None:
    """Write the requested splits, dialogues first, then mixed-genre texts."""
    for split in _QUESTIONS:
        parts = [sources[name] for name in _SHA256 if name.endswith(f"-{split}.json") and name in sources]
        if not parts:
            continue
        try:
            texts = [text for part in parts for text in json.loads(part.read_text(encoding="utf-8"))]
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{' and '.join(p.name for p in parts)}: not in the published format ({error!r})"
            ) from error
        (folder / f"{split}.json").write_text(json.dumps(texts, ensure_ascii=False), encoding="utf-8")


DATASET = Dataset(
    settings={"data": {"reader": "dream"}, "task": {"name": "multiple_choice"}, "model": {"max_length": 512}},
    files=tuple(
        File(_USES[split], f"{split}.json", has_rows(count, reader="dream"))
        for split, count in _QUESTIONS.items()
    ),
    sources=tuple(
        Download(
            _ADDRESS + name, name, known, at_most=16 << 20, uses=(_USES[name[5:].removesuffix(".json")],)
        )
        for name, known in _SHA256.items()
    ),
    build=_build,
)
