"""CoLA 1.1: acceptability of English sentences (Warstadt, Singh & Bowman 2019)."""

from bertune.data.named._dataset import Dataset, Download, File, has_lines, unpack

_FOLDER = "cola_public/raw/"
_FILES = (
    File("train", "in_domain_train.tsv", has_lines(8551, columns=4)),
    File("validation", "in_domain_dev.tsv", has_lines(527, columns=4)),
    File("test", "out_of_domain_dev.tsv", has_lines(516, columns=4)),
)

DATASET = Dataset(
    settings={
        "data": {"text": ["3"], "label": "1", "header": False, "quoting": False, "delimiter": "tab"},
        "train": {"best_metric": "mcc"},
    },
    files=_FILES,
    sources=(
        Download(
            "https://nyu-mll.github.io/CoLA/cola_public_1.1.zip",
            "cola_public_1.1.zip",
            sha256=None,
            at_most=16 << 20,
        ),
    ),
    build=unpack({_FOLDER + file.name: file.name for file in _FILES}),
)
