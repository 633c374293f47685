"""Owns the English part of TyDi QA's gold passages: Clark et al. 2020, the training file of XTREME.

Its dev file was published without the answers, so a share of the passages is held out.
"""

from bertune.data.named._dataset import Dataset, File, Source, has_sha256

_PUBLISHED = (
    "https://raw.githubusercontent.com/GautamGupta17/MESH/"
    "68f82e29e71a4e425069ff398a61387c24c0f30d/data/tydiqa/"
)
_SHA256 = {
    "tydiqa.goldp.en.train.json": "eed7ee81e2fa6d76afcf56ef0997e4b73c86f7cf9de20e1015d08678666f350b",
}

DATASET = Dataset(
    settings={"data": {"reader": "squad"}, "task": {"name": "qa"}},
    files=(File("train", "tydiqa.goldp.en.train.json", has_sha256(_SHA256["tydiqa.goldp.en.train.json"])),),
    sources=tuple(
        Source(_PUBLISHED + name, name, sha256, at_most=16 << 20) for name, sha256 in _SHA256.items()
    ),
)
