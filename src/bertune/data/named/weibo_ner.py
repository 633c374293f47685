"""Owns Weibo NER, names and other mentions in Chinese posts: Peng & Dredze 2015."""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = (
    "https://raw.githubusercontent.com/zejunwang1/bertorch/"
    "cd2075223142ad3d21dc4221e8a12ed8c730b052/data/ner/weibo/"
)
_SHA256 = {
    "train.all.bmes": "7a55b503854caba99452660d03219d2f1f7b86611b4a63d1c7dff344f9a10ae8",
    "dev.all.bmes": "d262f07ec356ebfaf5d4201deff0cf8f230fe3b2e3921d426a5b7c08264a9ffd",
    "test.all.bmes": "8442b6c64946d1f625926eef9597083cc91ec0e9f5e6f96ae06977380a9d09ce",
}

DATASET = Dataset(
    settings={"data": {"text": ["tokens"], "label": "tags", "reader": "conll"}, "task": {"name": "tokens"}},
    files=(
        File("train", "train.all.bmes", has_sha256(_SHA256["train.all.bmes"])),
        File("validation", "dev.all.bmes", has_sha256(_SHA256["dev.all.bmes"])),
        File("test", "test.all.bmes", has_sha256(_SHA256["test.all.bmes"])),
    ),
    sources=tuple(
        Source(_PUBLISHED + name, name, sha256, at_most=16 << 20) for name, sha256 in _SHA256.items()
    ),
)
