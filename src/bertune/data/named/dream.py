"""Owns DREAM, questions on English dialogues with three choices: Sun et al. 2019."""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = "https://raw.githubusercontent.com/nlpdata/dream/bb64644c209cb6497bb9e13244fbf220c900a740/data/"
_SHA256 = {
    "train.json": "90942ddea1b56231a0ad2097dc5f115ce1face1cfb86f029041e5bad38e68566",
    "dev.json": "9d5af2e580d809c73872a7dd43fe93d0b07c6f6086b04a9a9a1917603009d961",
    "test.json": "d96d7d0752f7eab1ea8f165a582430f35653c428d36633ab4d7f26fc14946c3a",
}

DATASET = Dataset(
    # 3 % of the sequences are longer than that.
    settings={"data": {"reader": "dream"}, "task": {"name": "choice"}, "model": {"max_length": 512}},
    files=(
        File("train", "train.json", has_sha256(_SHA256["train.json"])),
        File("validation", "dev.json", has_sha256(_SHA256["dev.json"])),
        File("test", "test.json", has_sha256(_SHA256["test.json"])),
    ),
    sources=tuple(
        Source(_PUBLISHED + name, name, sha256, at_most=16 << 20) for name, sha256 in _SHA256.items()
    ),
)
