"""XNLI in French: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("fr", "ef9f5b2a508f6d56ea4181e630d7a0174753435ec428c6b3e9f05abeee6ef550")
