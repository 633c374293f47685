"""XNLI in German: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("de", "5a5ad525225418a96a82c595a83a93e2e3a852af01e92de92f925a61f82d8cbd")
