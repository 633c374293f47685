"""AFQMC: pairs of Chinese questions to a bank, with the same meaning or not (CLUE; Xu et al. 2020)."""

from bertune.data.named._raw import BERTORCH, by_number, raw

DATASET = raw(
    BERTORCH + "AFQMC/",
    {
        "train": ("train.txt", "48642eebd4dcd2fa099ad20b47fdbda456bdc396f8359aa4384a452a36f31eb7"),
        "validation": ("dev.txt", "bd5136527078950a4d624a3d903ce86950cafb26b5092559b64c418e015f0df3"),
    },
    {"data": by_number(texts=2), "train": {"best_metric": "accuracy"}},
)
