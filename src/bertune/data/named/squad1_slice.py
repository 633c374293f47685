"""20 articles from SQuAD 1.1: a small set to try things out, with no published scores to compare to.

The articles come from both published files. Part of the passages is held out for validation.
"""

from bertune.data.named._raw import github, raw

DATASET = raw(
    github("jucho2725/mrc_odqa_tutorial", "d0f1056eb75f3131b23df0979a495d028912fae2", "data/squad"),
    {"train": ("dev.json", "97796148abdf1c8fccc31588cf8ff54f99e35fe0c7036f3093d0438e55cefc16")},
    {"data": {"reader": "squad"}, "task": {"name": "question_answering"}},
)
