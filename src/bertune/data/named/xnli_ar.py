"""XNLI in Arabic: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("ar", "472ad1b14b8882b982171ecb875b811b4bcec90f03b5c31f634bc85b65295b63")
