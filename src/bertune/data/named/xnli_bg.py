"""XNLI in Bulgarian: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("bg", "31dab92812b1dc8fad6ea798acb0e6d79b24d00b706f54e60a90617fb2444b27")
