"""XNLI in Hindi: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("hi", "2a7a1a7083c518bbad61d7c5b9a369645ba73f3b97996ac38c210e831d741b02")
