"""Shared definition of the MNLI data sets: one archive, one folder, one header."""

from bertune.data.named._dataset import Dataset, Use
from bertune.data.named._glue import glue


def mnli(files: dict[Use, str]) -> Dataset:
    """MNLI restricted to `files`, the file name for each split."""
    return glue(
        "MNLI.zip",
        "index promptID pairID genre sentence1_binary_parse sentence2_binary_parse sentence1_parse "
        "sentence2_parse +sentence1 +sentence2",
        "accuracy",
        files,
        folder="mnli",
    )
