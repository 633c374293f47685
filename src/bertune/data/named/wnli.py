"""WNLI: what a pronoun refers to (Levesque et al. 2012), as published by GLUE."""

from bertune.data.named._glue import glue

DATASET = glue("WNLI.zip", "index +sentence1 +sentence2 label*", "accuracy")
