"""QQP: pairs of Quora questions, with the same meaning or not (Iyer et al. 2017), as published by GLUE."""

from bertune.data.named._glue import glue

DATASET = glue("QQP-clean.zip", "id qid1 qid2 +question1 +question2 is_duplicate*", "f1")
