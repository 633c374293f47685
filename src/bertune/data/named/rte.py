"""RTE: whether one sentence follows from another (Dagan et al. 2006 and later), as published by GLUE."""

from bertune.data.named._glue import glue

DATASET = glue("RTE.zip", "index +sentence1 +sentence2 label*", "accuracy")
