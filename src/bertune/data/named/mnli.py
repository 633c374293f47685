"""Owns MNLI, whether a sentence follows from another, contradicts it, or neither: Williams et al. 2018.

The mismatched dev file, of other genres than were trained on, is the test file.
"""

from bertune.data.named._glue import glue

DATASET = glue(
    "MNLI.zip",
    "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse "
    "sentence2_parse +sentence1 +sentence2",
    "accuracy",
    {"train": "train.tsv", "validation": "dev_matched.tsv", "test": "dev_mismatched.tsv"},
)
