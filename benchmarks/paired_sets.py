"""Data sets and recipes of the comparison over paired seeds, read from their published files.

Every set gives its training and its test rows as texts with a label. Nothing here knows who trains on them.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bertune.bench.job import TEXT_COLUMNS, Item

Encoder = Literal["minilm", "scratch"]


@dataclass(frozen=True)
class Recipe:
    """What both sides train: the schedule is linear, with a warm-up over the first tenth of the steps."""

    epochs: int
    batch_size: int
    lr: float
    max_length: int  # tokens; longer texts are cut
    encoder: Encoder = "minilm"  # "scratch" is a small BERT with random weights and a Chinese vocabulary


@dataclass(frozen=True)
class PairedSet:
    """A data set: how to read its rows, the score that counts, and the recipe."""

    about: str
    metric: Literal["accuracy", "mcc"]
    train: Callable[[Path], list[Item]]  # from the folder that BERTUNE_DATA names
    test: Callable[[Path], list[Item]]
    recipe: Recipe


def tabbed(
    path: str, texts: tuple[int, ...], label: int, has_header: bool, most: int | None = None
) -> Reader:
    """A reader of a tab-separated file without quoting: the first `most` rows, all of them where None."""

    def read(data: Path) -> list[Item]:
        # Only "\n" ends a row: str.splitlines would also cut at Unicode separators inside a text.
        lines = (data / path).read_text(encoding="utf-8-sig").removesuffix("\n").split("\n")
        rows = [line.rstrip("\r").split("\t") for line in lines[1 if has_header else 0 :][:most]]
        return [(tuple(row[column] for column in texts), row[label]) for row in rows]

    return read


def comma_separated(path: str, text: str, label: str) -> Reader:
    """A reader of a CSV file with a header line."""

    def read(data: Path) -> list[Item]:
        with (data / path).open(encoding="utf-8", newline="") as file:
            return [((row[text],), row[label]) for row in csv.DictReader(file)]

    return read


def json_split(path: str, split: str) -> Reader:
    """A reader of one split of a JSON file with lists of [text, label]."""

    def read(data: Path) -> list[Item]:
        rows = json.loads((data / path).read_text(encoding="utf-8"))[split]
        return [((text,), label) for text, label in rows]

    return read


Reader = Callable[[Path], list[Item]]

SETS = {
    "clinc150": PairedSet(
        "150 intents of queries to an assistant: 15,000 rows, published test set (4,500) without queries "
        "beyond all intents",
        "accuracy",
        json_split("clinc150/data_full.json", "train"),
        json_split("clinc150/data_full.json", "test"),
        Recipe(epochs=5, batch_size=64, lr=2e-4, max_length=48),
    ),
    "chnsenticorp": PairedSet(
        "sentiment of Chinese reviews, a small BERT from random weights: 9,600 rows, the published dev set "
        "(1,200) as test set",
        "accuracy",
        tabbed("chnsenticorp/train.tsv", (0,), 1, has_header=False),
        tabbed("chnsenticorp/dev.tsv", (0,), 1, has_header=False),
        Recipe(epochs=6, batch_size=64, lr=3e-4, max_length=128, encoder="scratch"),
    ),
    "banking77": PairedSet(
        "77 intents of questions to a bank: 10,003 rows, published test set (3,080)",
        "accuracy",
        comma_separated("banking77/train.csv", "text", "category"),
        comma_separated("banking77/test.csv", "text", "category"),
        Recipe(epochs=5, batch_size=64, lr=2e-4, max_length=64),
    ),
    "mrpc": PairedSet(
        "paraphrases of news sentences: 3,668 pairs, published test set (1,725)",
        "mcc",
        tabbed("mrpc/train.tsv", (3, 4), 0, has_header=True),
        tabbed("mrpc/msr_paraphrase_test.txt", (3, 4), 0, has_header=True),
        Recipe(epochs=5, batch_size=32, lr=5e-5, max_length=128),
    ),
    "wikiqa": PairedSet(
        "whether a sentence answers a question, as one of twenty does: the first 8,000 pairs, published test "
        "set (6,165)",
        "mcc",
        tabbed("wikiqa/train.txt", (0, 1), 2, has_header=False, most=8000),
        tabbed("wikiqa/test.txt", (0, 1), 2, has_header=False),
        Recipe(epochs=4, batch_size=64, lr=1e-4, max_length=96),
    ),
    "rte": PairedSet(
        "whether a sentence follows from another: 2,490 pairs, the published dev set (277) as test set",
        "accuracy",
        tabbed("rte/train.tsv", (1, 2), 3, has_header=True),
        tabbed("rte/dev.tsv", (1, 2), 3, has_header=True),
        Recipe(epochs=6, batch_size=32, lr=5e-5, max_length=128),
    ),
}  # the longest first, so that several workers end at about the same time


def as_table(items: list[Item]) -> list[dict[str, str]]:
    """Rows as bertune takes them from Python."""
    return [
        {**dict(zip(TEXT_COLUMNS[len(texts)], texts, strict=True)), "label": label} for texts, label in items
    ]


def scratch_encoder(data: Path, folder: Path) -> Path:
    """Writes the configuration and the tokenizer of a small BERT without weights; returns its folder."""
    from transformers import BertConfig, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = (data / "vocab" / "bert-base-chinese" / "vocab.txt").read_text(encoding="utf-8")
    (folder / "vocab.txt").write_text(vocabulary, encoding="utf-8")
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    tokenizer.save_pretrained(folder)
    BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=256,
        num_hidden_layers=4,
        num_attention_heads=4,
        intermediate_size=1024,
        max_position_embeddings=128,
    ).save_pretrained(folder)
    return folder
