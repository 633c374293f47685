"""AG News: topics of English news (Zhang, Zhao & LeCun 2015).

The labels are 1 World, 2 Sports, 3 Business and 4 Sci/Tech.
"""

from bertune.data.named._raw import github, raw

DATASET = raw(
    github("mhjabreel/CharCnn_Keras", "555590db4219b1243abb1918effd6a7425a2d75f", "data/ag_news_csv"),
    {
        "train": ("train.csv", "76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e"),
        "test": ("test.csv", "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699"),
    },
    {
        "data": {"text": ["1", "2"], "label": "0", "header": False, "quoting": True, "delimiter": ","},
        "train": {"best_metric": "accuracy"},
    },
)
