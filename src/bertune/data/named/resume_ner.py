"""Resume NER: names and career details in Chinese CVs (Zhang & Yang 2018)."""

from bertune.data.named._raw import BERTORCH, by_number, raw

DATASET = raw(
    BERTORCH + "ner/resume/",
    {
        "train": ("train.char.bmes", "c581ed3d31d6a379d6c4a4a634e31498f0d8aae5c9a124ea167912e9529cb0b4"),
        "validation": ("dev.char.bmes", "976910a7fd0bb52039e42ed67de6e2beaae74749b4aca8d88f38d6c8c3ba3fe2"),
        "test": ("test.char.bmes", "746da1d2a844ec84e27e769de769e453892da247f5f1304739c33e59d8229e8b"),
    },
    {"data": by_number(texts=1, reader="delimited"), "task": {"name": "token_classification"}},
)
