"""RACE-H: the high-school part of RACE (Lai et al. 2017)."""

from bertune.data.named._race import race

DATASET = race(("high",), {"train": 62_445, "dev": 3_451, "test": 3_498})
