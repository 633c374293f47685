"""Weibo NER: named entities and nominal mentions in Chinese posts (Peng & Dredze 2015)."""

from bertune.data.named._raw import BERTORCH, raw

DATASET = raw(
    BERTORCH + "ner/weibo/",
    {
        "train": ("train.all.bmes", "7a55b503854caba99452660d03219d2f1f7b86611b4a63d1c7dff344f9a10ae8"),
        "validation": ("dev.all.bmes", "d262f07ec356ebfaf5d4201deff0cf8f230fe3b2e3921d426a5b7c08264a9ffd"),
        "test": ("test.all.bmes", "8442b6c64946d1f625926eef9597083cc91ec0e9f5e6f96ae06977380a9d09ce"),
    },
    {
        "data": {"text": ["tokens"], "label": "tags", "reader": "conll"},
        "task": {"name": "token_classification"},
    },
)
