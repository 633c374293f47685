"""XNLI in Greek: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("el", "c1892ec69752a9b335bd2b4287708ee7745521f7c8e88672e458ee30f3b4b57e")
