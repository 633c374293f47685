"""Owns WNLI, what a pronoun refers to: Levesque et al. 2012, as GLUE publishes it."""

from bertune.data.named._glue import glue

DATASET = glue("WNLI.zip", "index +sentence1 +sentence2 label*", "accuracy")
