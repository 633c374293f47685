"""MRPC: pairs of news sentences, paraphrases or not (Dolan & Brockett 2005), split as in GLUE."""

import os
from collections.abc import Mapping
from pathlib import Path

from bertune.data.named._dataset import Dataset, Download, File, has_lines, has_sha256

_SENTEVAL = "https://dl.fbaipublicfiles.com/senteval/senteval_data/"
_DEV_IDS = (
    "https://firebasestorage.googleapis.com/v0/b/mtl-sentence-representations.appspot.com/o/"
    "data%2Fmrpc_dev_ids.tsv?alt=media&token=ec5c0836-31d5-48f4-b431-7480817f1adc"
)
_TEST = "msr_paraphrase_test.txt"
_TEST_SHA256 = "a04e271090879aaba6423d65b94950c089298587d9c084bf9cd7439bd785f784"


def _build(sources: Mapping[str, Path], folder: Path) -> None:
    """Split the published training file: pairs with a listed ID go to dev. Keeps the order of the file."""
    with sources["mrpc_dev_ids.tsv"].open(encoding="utf-8", newline="\n") as file:
        dev_ids = {tuple(line.rstrip("\r\n").split("\t")) for line in file}
    with (
        sources["msr_paraphrase_train.txt"].open(encoding="utf-8", newline="\n") as published,
        (folder / "train.tsv").open("w", encoding="utf-8", newline="\n") as train,
        (folder / "dev.tsv").open("w", encoding="utf-8", newline="\n") as dev,
    ):
        header = next(published, "")
        train.write(header)
        dev.write(header)
        for line in published:
            pair = tuple(line.split("\t")[1:3])
            (dev if pair in dev_ids else train).write(line)
    os.replace(sources[_TEST], folder / _TEST)


DATASET = Dataset(
    settings={
        "data": {
            "text": ["#1 String", "#2 String"],
            "label": "Quality",
            "header": True,
            "quoting": False,
            "delimiter": "tab",
        },
        "train": {"best_metric": "f1"},
    },
    files=(
        File("train", "train.tsv", has_lines(1 + 3668, columns=5)),
        File("validation", "dev.tsv", has_lines(1 + 408, columns=5)),
        File("test", _TEST, has_sha256(_TEST_SHA256)),
    ),
    # Checksums as recorded by Hugging Face datasets (glue) and TensorFlow Datasets.
    sources=(
        Download(
            _SENTEVAL + "msr_paraphrase_train.txt",
            "msr_paraphrase_train.txt",
            sha256="60a9b09084528f0673eedee2b69cb941920f0b8cd0eeccefc464a98768457f89",
            at_most=4 << 20,
        ),
        Download(_SENTEVAL + _TEST, _TEST, sha256=_TEST_SHA256, at_most=4 << 20),
        Download(
            _DEV_IDS,
            "mrpc_dev_ids.tsv",
            sha256="971d7767d81b997fd9060ade0ec23c4fc31cbb226a55d1bd4a1bac474eb81dc7",
            at_most=1 << 20,
        ),
    ),
    build=_build,
)
