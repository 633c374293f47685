"""Owns MNLI, whether a sentence follows from another, contradicts it, or neither: Williams et al. 2018.

The mismatched dev file, of other genres than were trained on, is the test file. To score a model on one of
the two there are `mnli_matched` and `mnli_mismatched`.
"""

from bertune.data.named._mnli import mnli

DATASET = mnli({"train": "train.tsv", "validation": "dev_matched.tsv", "test": "dev_mismatched.tsv"})
