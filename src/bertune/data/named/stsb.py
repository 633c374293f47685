"""STS-B: similarity of two sentences, from 0 to 5 (Cer et al. 2017), as published by GLUE."""

from bertune.data.named._glue import glue

DATASET = glue(
    "STS-B.zip",
    "index genre filename year old_index source1 source2 +sentence1 +sentence2 score*",
    "pearson_spearman",
    task={"name": "regression", "low": 0, "high": 5},
)
