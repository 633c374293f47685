"""CoNLL-2003: named entities in English news (Tjong Kim Sang & De Meulder 2003)."""

from bertune.data.named._raw import github, raw

DATASET = raw(
    github("amaiya/ktrain", "fdbeda6edfdde0e125d0a258c6c1abd091853da2", "tests/resources/conll2003"),
    {
        "train": ("train.txt", "213953b5522fb7924802d883e50f027b2c6ffb5d4d0e63368ed82909f9b60423"),
        "validation": ("valid.txt", "c02eb19809eafb83998326a0481942eb37d96f31826ae387cfe8773699969f5b"),
        "test": ("test.txt", "dc4ac7f3d6d01a6bec59261814561da3b287b6b493b97d1f69c580b52ec1831b"),
    },
    {
        "data": {"text": ["tokens"], "label": "tags", "reader": "conll"},
        "task": {"name": "token_classification"},
    },
)
