"""WikiQA: which sentences of an article answer a question (Yang et al. 2015)."""

from bertune.data.named._raw import by_number, github, raw

DATASET = raw(
    github("FreedomIntelligence/qnn", "77f549372d4371e7f2d52e77bc18df5096dd4779", "data/QA/wiki"),
    {
        "train": ("train.txt", "942d65db8ca780cf38905d403f17606274329a4f3c2037973ce6b3fabb0e61b2"),
        "validation": ("dev.txt", "ef7b38990d479fbfae5a1cd4a01b75a7f0cc5c277d15c9cddb888c6f0197d543"),
        "test": ("test.txt", "957a23816df4c13056e0069fc30afbc6b56f676ba025b6c9c027fb71379e84e8"),
    },
    {"data": by_number(texts=2), "task": {"name": "ranking"}, "train": {"best_metric": "map"}},
)
