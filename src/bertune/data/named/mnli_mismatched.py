"""MNLI's mismatched dev file, with genres not seen in training, for evaluation (Williams et al. 2018)."""

from bertune.data.named._mnli import mnli

DATASET = mnli({"test": "dev_mismatched.tsv"})
