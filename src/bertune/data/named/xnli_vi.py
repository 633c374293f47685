"""XNLI in Vietnamese: natural language inference (Conneau et al. 2018)."""

from bertune.data.named._xnli import xnli

DATASET = xnli("vi", "566a16e1fcdebd2fa1a97563c3b1a8e86d21b3fd5863742b2b287bb000fa9198")
