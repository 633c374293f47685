"""XNLI in Spanish: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("es", "0fd4fe222b7e5128eec8a0c6953325673c9cf29f8fe22c77905332323d65f06c")
