"""LCQMC: pairs of Chinese questions, with the same meaning or not (Liu et al. 2018)."""

from bertune.data.named._dataset import File, has_lines
from bertune.data.named._raw import BERTORCH, by_number, raw

DATASET = raw(
    BERTORCH + "LCQMC/",
    {
        "validation": ("dev.txt", "d3cd41ed89b8f6196a76ebff2aa03d5ecf42edcd12942aa865d34f7e570af7c2"),
        "test": ("test.txt", "8969f9c16050f40df9da6f591443a47bc14c17a504a354ee4cc4ab5b9aa303d9"),
    },
    {"data": by_number(texts=2), "train": {"best_metric": "accuracy"}},
    only_own=File(
        "train",
        "train.txt",
        has_lines(238766, columns=3),
        only_own="238,766 lines of two questions and 0 or 1, separated by tabs; apply to Harbin Institute of "
        "Technology for it (http://icrc.hitsz.edu.cn/Article/show/171.html)",
    ),
)
