"""Owns the dev file of MNLI with the genres of its training file, to score on: Williams et al. 2018."""

from bertune.data.named._mnli import mnli

DATASET = mnli({"test": "dev_matched.tsv"})
