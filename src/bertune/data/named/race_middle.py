"""RACE-M: the middle-school part of RACE (Lai et al. 2017)."""

from bertune.data.named._race import race

DATASET = race(("middle",), {"train": 25_421, "dev": 1_436, "test": 1_436})
