"""XQuAD in English: 240 passages from SQuAD 1.1's dev file, for evaluation (Artetxe et al. 2020)."""

from bertune.data.named._raw import XQUAD, raw

DATASET = raw(
    XQUAD,
    {"test": ("xquad.en.json", "e4c57d1c9143aaa1c5d265ba5987a65f4e69528d2a98f29d6e75019b10344f29")},
    {"data": {"reader": "squad"}, "task": {"name": "question_answering"}},
    folder="xquad",
)
