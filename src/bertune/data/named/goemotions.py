"""GoEmotions: 27 emotions, or neutral, in English comments on Reddit (Demszky et al. 2020)."""

from bertune.data.named._raw import by_number, github, raw

_NAMES = (  # in the order of the published labels.txt; the files hold label numbers
    "admiration amusement anger annoyance approval caring confusion curiosity desire disappointment "
    "disapproval disgust embarrassment excitement fear gratitude grief joy love nervousness optimism pride "
    "realization relief remorse sadness surprise neutral"
)

DATASET = raw(
    github("monologg/GoEmotions-pytorch", "b75f9d3a8b76bc1060687925b04ca98a1b8ea66b", "data/original"),
    {
        "train": ("train.tsv", "1c254a142be5c00e80d819b9ae1bbd36d94b2eeb8f4b1271846508d57e57d9c5"),
        "validation": ("dev.tsv", "575489c079c9de1097062a01738f998590d6b7ead66dd1c9fd1d2ba01fd8bc62"),
        "test": ("test.tsv", "0587b2dd8b27b97352adbfc3fb083d46005c8946657fdc2b1ca8b1cc7f1f8be4"),
    },
    {
        "data": by_number(texts=1, id="2"),
        "task": {"name": "multilabel", "names": _NAMES.split()},
        "train": {"best_metric": "macro_f1"},
    },
)
