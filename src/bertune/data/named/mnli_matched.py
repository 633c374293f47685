"""MNLI's matched dev file, with the genres of the training file, for evaluation (Williams et al. 2018)."""

from bertune.data.named._mnli import mnli

DATASET = mnli({"test": "dev_matched.tsv"})
