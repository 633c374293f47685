"""DREAM: questions on English dialogues, with three choices (Sun et al. 2019)."""

from bertune.data.named._raw import github, raw

DATASET = raw(
    github("nlpdata/dream", "bb64644c209cb6497bb9e13244fbf220c900a740", "data"),
    {
        "train": ("train.json", "90942ddea1b56231a0ad2097dc5f115ce1face1cfb86f029041e5bad38e68566"),
        "validation": ("dev.json", "9d5af2e580d809c73872a7dd43fe93d0b07c6f6086b04a9a9a1917603009d961"),
        "test": ("test.json", "d96d7d0752f7eab1ea8f165a582430f35653c428d36633ab4d7f26fc14946c3a"),
    },
    # 3% of the sequences are longer than 512 tokens.
    {"data": {"reader": "dream"}, "task": {"name": "multiple_choice"}, "model": {"max_length": 512}},
)
