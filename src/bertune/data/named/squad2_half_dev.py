"""Half of SQuAD 2.0's dev file, as distributed by Stanford's CS224N: a small set to try things out.

Part of the passages is held out for validation.
"""

from bertune.data.named._raw import github, raw

DATASET = raw(
    github("chrischute/squad", "85623adeb9e6639f145081fea9cae2d8f3a26379", "data"),
    {
        "train": (
            "dev-v2.0.cs224n.json",
            "e67e5969b6dc6c1642154740806b79263b77fc048c7c11ee60d534eb48ef81e8",
        )
    },
    {"data": {"reader": "squad"}, "task": {"name": "question_answering"}},
    published={"dev-v2.0.cs224n.json": "dev-v2.0.json"},
)
