"""Owns WikiQA, which sentence of an article answers a question: Yang et al. 2015."""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = (
    "https://raw.githubusercontent.com/FreedomIntelligence/qnn/"
    "77f549372d4371e7f2d52e77bc18df5096dd4779/data/QA/wiki/"
)
_SHA256 = {
    "train.txt": "942d65db8ca780cf38905d403f17606274329a4f3c2037973ce6b3fabb0e61b2",
    "dev.txt": "ef7b38990d479fbfae5a1cd4a01b75a7f0cc5c277d15c9cddb888c6f0197d543",
    "test.txt": "957a23816df4c13056e0069fc30afbc6b56f676ba025b6c9c027fb71379e84e8",
}

DATASET = Dataset(
    settings={
        "data": {"text": ["0", "1"], "label": "2", "header": False, "quoting": False, "delimiter": "tab"},
        "task": {"name": "ranking"},
    },
    files=(
        File("train", "train.txt", has_sha256(_SHA256["train.txt"])),
        File("validation", "dev.txt", has_sha256(_SHA256["dev.txt"])),
        File("test", "test.txt", has_sha256(_SHA256["test.txt"])),
    ),
    sources=tuple(
        Source(_PUBLISHED + name, name, sha256, at_most=16 << 20) for name, sha256 in _SHA256.items()
    ),
)
