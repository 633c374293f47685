"""SQuAD 1.1: extractive question answering on English Wikipedia (Rajpurkar et al. 2016).

The test file is not published, so published scores are those on the dev file.
"""

from bertune.data.named._raw import SQUAD, raw

DATASET = raw(
    SQUAD,
    {
        "train": ("train-v1.1.json", "3527663986b8295af4f7fcdff1ba1ff3f72d07d61a20f487cb238a6ef92fd955"),
        "validation": ("dev-v1.1.json", "95aa6a52d5d6a735563366753ca50492a658031da74f301ac5238b03966972c9"),
    },
    {"data": {"reader": "squad"}, "task": {"name": "question_answering"}},
)
