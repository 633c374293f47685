"""XNLI in Thai: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("th", "032ecbb4efeecd5d0ce3f06e96ecd73bfda51c0cccbe032b6f184699c2ff49bb")
