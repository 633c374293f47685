"""10,001 descriptions from AG News without titles: a small set to try things out (Yuan et al. 2020).

Part of the file is held out for validation.
"""

from bertune.data.named._raw import by_number, github, raw

DATASET = raw(
    github("forest-snow/alps", "3c7ef2c98249fc975a897b27f275695f97d5b7a9", "data/agnews"),
    {
        "train": (
            "train_10k_subset.tsv",
            "7a0811e0006080bf4de17752c5466450ff3db778be71bc5bcf3c4e99b5f0803d",
        )
    },
    {"data": by_number(texts=1), "train": {"best_metric": "accuracy"}},
    folder="ag_news",
    published={"train_10k_subset.tsv": "dev.tsv"},
)
