"""MSRA NER: people, places and organizations in Chinese news (Levow 2006).

The validation file is part of the published training file.
"""

from bertune.data.named._dataset import File, has_rows
from bertune.data.named._raw import BERTORCH, raw

DATASET = raw(
    BERTORCH + "ner/msra/",
    {
        "validation": ("dev.ner", "19e2c842926148a062e31774db1bae7da8f144b38902180a892a220eb6cedbac"),
        "test": ("test.ner", "9cebc5ce1ea06477d1230d17be90daafa670e78f07eb628c27103af4a6e6dc3b"),
    },
    {
        "data": {"text": ["tokens"], "label": "tags", "reader": "conll"},
        "task": {"name": "token_classification"},
    },
    only_own=File(
        "train",
        "train.ner",
        has_rows(46364, reader="conll"),
        only_own="46,364 sentences, one character and its tag per line as in dev.ner; licensed by Microsoft",
    ),
)
