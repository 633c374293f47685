"""XNLI in English: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("en", "d3899b7562dbba9418124a9a5fcd01bb78816bf724e8f301af15c6845a338c88")
