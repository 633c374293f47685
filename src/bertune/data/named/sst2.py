"""SST-2: sentiment of phrases from film reviews (Socher et al. 2013), as published by GLUE."""

from bertune.data.named._dataset import Dataset, Download, File, has_lines, unpack

DATASET = Dataset(
    settings={
        "data": {
            "text": ["sentence"],
            "label": "label",
            "header": True,
            "quoting": False,
            "delimiter": "tab",
        },
        "train": {"best_metric": "accuracy"},
    },
    files=(
        File("train", "train.tsv", has_lines(1 + 67349, columns=2)),
        File("validation", "dev.tsv", has_lines(1 + 872, columns=2)),
    ),
    sources=(
        Download(
            "https://dl.fbaipublicfiles.com/glue/data/SST-2.zip",
            "SST-2.zip",
            # As recorded by Hugging Face datasets (glue) and TensorFlow Datasets.
            sha256="d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
            at_most=16 << 20,
        ),
    ),
    build=unpack({"SST-2/train.tsv": "train.tsv", "SST-2/dev.tsv": "dev.tsv"}),
)
