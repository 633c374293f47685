"""ChnSentiCorp: sentiment of Chinese reviews of hotels, books and computers (Tan & Zhang 2008)."""

from bertune.data.named._raw import BERTORCH, by_number, raw

DATASET = raw(
    BERTORCH + "ChnSentiCorp/",
    {
        "train": ("train.tsv", "2d055b163db91611d08039f7b8d7fec453fb9de45e3d892f1dbc162fb0486da4"),
        "validation": ("dev.tsv", "7f55d58efd9783720ff9247de3513bb11a09521e77a6c73a7c7767b5d6d8279a"),
    },
    {"data": by_number(texts=1), "train": {"best_metric": "accuracy"}},
)
