"""XNLI in Chinese: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("zh", "1fc62e08fea927012d639006e3efc893e17cae2439776d9f51fcd9c41dc383e6")
