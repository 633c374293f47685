"""AX: GLUE's diagnostic pairs, to predict with a model trained on MNLI (Wang et al. 2018).

The file is published without labels and keeps the name it has in GLUE.
"""

from bertune.data.named._dataset import Dataset, Download, File, has_columns

DATASET = Dataset(
    settings={
        "data": {
            "text": ["sentence1", "sentence2"],
            "id": "index",
            "header": True,
            "quoting": False,
            "delimiter": "tab",
        }
    },
    files=(File("test", "AX.tsv", has_columns(["index", "sentence1", "sentence2"])),),
    sources=(
        Download("https://dl.fbaipublicfiles.com/glue/data/AX.tsv", "AX.tsv", sha256=None, at_most=4 << 20),
    ),
)
