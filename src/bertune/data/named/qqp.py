"""Owns QQP, pairs of Quora questions that mean the same or not: Iyer et al. 2017, as GLUE publishes it."""

from bertune.data.named._glue import glue

DATASET = glue("QQP-clean.zip", "id qid1 qid2 +question1 +question2 is_duplicate*", "f1")
