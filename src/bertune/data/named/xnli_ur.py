"""XNLI in Urdu: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("ur", "b9104420019f38fe2a73029dfa789002fc0e2250557e5b3e1d711000f2177228")
