"""Owns TNEWS, topics of Chinese news headlines: CLUE, Xu et al. 2020."""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = (
    "https://raw.githubusercontent.com/zejunwang1/bertorch/"
    "cd2075223142ad3d21dc4221e8a12ed8c730b052/data/tnews/"
)
_SHA256 = {
    "train.tsv": "568044502f315abb4da0c36f06255d07932de7a7d4f8a488e267a5bb2f6aa8e4",
    "dev.tsv": "dd51816b956838a5bfaf67310dc3bb511d310eec316a9571947f468dd36efd04",
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
