"""SQuAD 2.0: SQuAD 1.1 and more than 50,000 unanswerable questions (Rajpurkar et al. 2018).

The test file is not published, so published scores are those on the dev file.
"""

from bertune.data.named._raw import SQUAD, raw

DATASET = raw(
    SQUAD,
    {
        "train": ("train-v2.0.json", "68dcfbb971bd3e96d5b46c7177b16c1a4e7d4bdef19fb204502738552dede002"),
        "validation": ("dev-v2.0.json", "80a5225e94905956a6446d296ca1093975c4d3b3260f1d6c8f68bfc2a3182f5a"),
    },
    {"data": {"reader": "squad"}, "task": {"name": "question_answering"}},
)
