"""Owns ChnSentiCorp, sentiment of Chinese reviews of hotels, books and computers: Tan & Zhang 2008."""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = (
    "https://raw.githubusercontent.com/zejunwang1/bertorch/"
    "cd2075223142ad3d21dc4221e8a12ed8c730b052/data/ChnSentiCorp/"
)
_SHA256 = {
    "train.tsv": "2d055b163db91611d08039f7b8d7fec453fb9de45e3d892f1dbc162fb0486da4",
    "dev.tsv": "7f55d58efd9783720ff9247de3513bb11a09521e77a6c73a7c7767b5d6d8279a",
}

DATASET = Dataset(
    settings={
        "data": {"text": ["0"], "label": "1", "header": False, "quoting": False, "delimiter": "tab"},
        "train": {"best_by": "accuracy"},
    },
    files=(
        File("train", "train.tsv", has_sha256(_SHA256["train.tsv"])),
        File("validation", "dev.tsv", has_sha256(_SHA256["dev.tsv"])),
    ),
    sources=tuple(
        Source(_PUBLISHED + name, name, sha256, at_most=16 << 20) for name, sha256 in _SHA256.items()
    ),
)
