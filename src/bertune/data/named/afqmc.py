"""Owns AFQMC, pairs of Chinese questions to a bank that mean the same or not: CLUE, Xu et al. 2020."""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = (
    "https://raw.githubusercontent.com/zejunwang1/bertorch/"
    "cd2075223142ad3d21dc4221e8a12ed8c730b052/data/AFQMC/"
)
_SHA256 = {
    "train.txt": "48642eebd4dcd2fa099ad20b47fdbda456bdc396f8359aa4384a452a36f31eb7",
    "dev.txt": "bd5136527078950a4d624a3d903ce86950cafb26b5092559b64c418e015f0df3",
}

DATASET = Dataset(
    settings={
        "data": {"text": ["0", "1"], "label": "2", "header": False, "quoting": False, "delimiter": "tab"},
        "train": {"best_by": "accuracy"},
    },
    files=(
        File("train", "train.txt", has_sha256(_SHA256["train.txt"])),
        File("validation", "dev.txt", has_sha256(_SHA256["dev.txt"])),
    ),
    sources=tuple(
        Source(_PUBLISHED + name, name, sha256, at_most=16 << 20) for name, sha256 in _SHA256.items()
    ),
)
