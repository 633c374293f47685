"""XQuAD in Chinese: 240 translated passages of SQuAD 1.1, for evaluation (Artetxe et al. 2020)."""

from bertune.data.named._raw import XQUAD, raw

DATASET = raw(
    XQUAD,
    {"test": ("xquad.zh.json", "691d0b3359bc6b8faa8de931dfdfe21d50a65861ae348e32a0d1a0190b0c8835")},
    {"data": {"reader": "squad"}, "task": {"name": "question_answering"}},
    folder="xquad",
)
