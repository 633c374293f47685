"""CMRC 2018: extractive question answering on Chinese Wikipedia (Cui et al. 2019).

The test file is not published, so the trial file is used as the test file. Some questions are blank, and some
answers are not at the offsets that the files give.
"""

from bertune.data.named._dataset import has_rows
from bertune.data.named._raw import github, raw

DATASET = raw(
    github("ymcui/cmrc2018", "c0eb1b6ba219847457e6af3180da722bbeb656af", "squad-style-data"),
    {
        "train": ("cmrc2018_train.json", has_rows(10142, reader="squad")),
        "validation": (
            "cmrc2018_dev.json",
            "e9ff74231f05c230c6fa88b84441ee334d97234cbb610991cd94b82db00c7f1f",
        ),
        "test": (
            "cmrc2018_trial.json",
            "f3fae95b57da8e03afb2b57467dd221417060ef4d82db13bf22fc88589f3a6f3",
        ),
    },
    {"data": {"reader": "squad"}, "task": {"name": "question_answering", "invalid_examples": "count"}},
)
