"""RACE: questions from English examinations in China, with four choices (Lai et al. 2017)."""

from bertune.data.named._race import race

DATASET = race(("middle", "high"), {"train": 87_866, "dev": 4_887, "test": 4_934})
