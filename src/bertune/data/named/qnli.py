"""QNLI: whether a sentence answers a question (Rajpurkar et al. 2016), as published by GLUE."""

from bertune.data.named._glue import glue

DATASET = glue("QNLIv2.zip", "index +question +sentence label*", "accuracy")
