"""XNLI in Turkish: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("tr", "1c6d71da6947a02b060f94d52d1886b189a429a536a20a44004161b6c9f066a7")
