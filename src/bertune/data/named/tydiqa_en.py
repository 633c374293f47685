"""TyDi QA gold passages in English: extractive question answering (Clark et al. 2020).

This is the training file of XTREME. The dev file was published without answers, so part of the passages is
held out for validation.
"""

from bertune.data.named._raw import github, raw

DATASET = raw(
    github("GautamGupta17/MESH", "68f82e29e71a4e425069ff398a61387c24c0f30d", "data/tydiqa"),
    {
        "train": (
            "tydiqa.goldp.en.train.json",
            "eed7ee81e2fa6d76afcf56ef0997e4b73c86f7cf9de20e1015d08678666f350b",
        ),
    },
    {"data": {"reader": "squad"}, "task": {"name": "question_answering"}},
)
