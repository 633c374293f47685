"""MNLI: natural language inference in English, over several genres (Williams et al. 2018).

The mismatched dev file, whose genres are not in the training file, is the test file. To score a model on one
of the two dev files, use `mnli_matched` or `mnli_mismatched`.
"""

from bertune.data.named._mnli import mnli

DATASET = mnli({"train": "train.tsv", "validation": "dev_matched.tsv", "test": "dev_mismatched.tsv"})
