"""Owns Resume NER, names and careers in Chinese CVs: Zhang & Yang 2018."""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = (
    "https://raw.githubusercontent.com/zejunwang1/bertorch/"
    "cd2075223142ad3d21dc4221e8a12ed8c730b052/data/ner/resume/"
)
_SHA256 = {
    "train.char.bmes": "c581ed3d31d6a379d6c4a4a634e31498f0d8aae5c9a124ea167912e9529cb0b4",
    "dev.char.bmes": "976910a7fd0bb52039e42ed67de6e2beaae74749b4aca8d88f38d6c8c3ba3fe2",
    "test.char.bmes": "746da1d2a844ec84e27e769de769e453892da247f5f1304739c33e59d8229e8b",
}

DATASET = Dataset(
    settings={
        "data": {
            "text": ["0"],
            "label": "1",
            "reader": "delimited",
            "header": False,
            "quoting": False,
            "delimiter": "tab",
        },
        "task": {"name": "tokens"},
    },
    files=(
        File("train", "train.char.bmes", has_sha256(_SHA256["train.char.bmes"])),
        File("validation", "dev.char.bmes", has_sha256(_SHA256["dev.char.bmes"])),
        File("test", "test.char.bmes", has_sha256(_SHA256["test.char.bmes"])),
    ),
    sources=tuple(
        Source(_PUBLISHED + name, name, sha256, at_most=16 << 20) for name, sha256 in _SHA256.items()
    ),
)
