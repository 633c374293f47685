"""Owns the dev file of MNLI with genres of no training file, to score on: Williams et al. 2018."""

from bertune.data.named._mnli import mnli

DATASET = mnli({"test": "dev_mismatched.tsv"})
