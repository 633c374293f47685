"""SWAG: which of four endings continues a description (Zellers et al. 2018)."""

from bertune.data.named._dataset import has_rows
from bertune.data.named._raw import github, raw

_READING = {"header": True, "quoting": True, "delimiter": ","}

DATASET = raw(
    github("rowanz/swagaf", "master", "data"),
    {
        "train": ("train.csv", has_rows(73546, **_READING)),
        "validation": ("val.csv", has_rows(20006, **_READING)),
    },
    {
        "data": {
            "text": ["sent1", "sent2", "ending0", "ending1", "ending2", "ending3"],
            "label": "label",
            **_READING,
        },
        "task": {"name": "multiple_choice"},
    },
)
