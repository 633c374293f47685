"""XNLI in Swahili: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("sw", "58f277e88898ff8ef9e0bf1b1518ed80d466b8797b042ea50dccebdbc2561b60")
