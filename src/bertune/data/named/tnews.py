"""TNEWS: topics of Chinese news headlines (CLUE; Xu et al. 2020)."""

from bertune.data.named._raw import BERTORCH, by_number, raw

DATASET = raw(
    BERTORCH + "tnews/",
    {
        "train": ("train.tsv", "568044502f315abb4da0c36f06255d07932de7a7d4f8a488e267a5bb2f6aa8e4"),
        "validation": ("dev.tsv", "dd51816b956838a5bfaf67310dc3bb511d310eec316a9571947f468dd36efd04"),
    },
    {"data": by_number(texts=1), "train": {"best_metric": "accuracy"}},
)
