"""The slices of real data sets on which every task is tested: files, settings, expectations."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import fits
from fits import Line
from parts import (
    Cut,
    articles,
    documents,
    first_column,
    items,
    lines,
    relevant,
    sentences,
    whole,
    without_column,
    without_keys,
    words_of_lines,
)


@dataclass(frozen=True)
class Slice:
    """A published file, whose first examples are used for training, and a part of one for evaluation."""

    name: str
    train: str  # below the folder of data sets
    held_out: str
    cut: Cut  # of `held_out`, for validation and evaluation
    bare: Cut  # of that, without gold, for prediction
    settings: tuple[str, ...]
    fits: Callable[[Line], None]
    part: Cut = whole  # of `train`, only if its first examples are not representative
    examples: int = 16
    batch_size: int = 4
    epochs: int = 2
    stop: int = 5  # the step at which training is interrupted, in the second epoch
    reading: tuple[str, ...] = ()  # settings that evaluate and predict also need
    is_chinese: bool = False
    truncates: bool = False
    says_the_same: bool = True  # checks the predictions of rows with and without gold
    least: tuple[str, float] = ("", 0.0)  # a score and a value that cannot be reached without learning


def _squad(name: str, train: str, held_out: Cut, **more: object) -> Slice:
    return Slice(
        name, train, train, held_out, without_keys("answers",
        "is_impossible"), ("task.name=question_answering",),
        **{"fits": fits.answer, "examples": 8, "stop": 3, **more},  # type: ignore[arg-type]
    )  # fmt: skip


def _choice(name: str, folder: str, rows: int, **more: object) -> Slice:
    file = f"{folder}-{{}}.json" if "-" in folder else f"{folder}/{{}}.json"
    return Slice(
        name, file.format("train"), file.format("dev"), items(slice(0, rows)), without_keys("answer"),
        **{"settings": ("task.name=multiple_choice",), "fits": fits.choice, **more},  # type: ignore[arg-type]
    )  # fmt: skip


def _wikiqa(name: str, *settings: str, **more: object) -> Slice:
    return Slice(
        name, "wikiqa/train.txt", "wikiqa/dev.txt", lines(slice(0, 43)), without_column(-1),
        ("task.name=ranking", "data.text=0,1", "data.label=2", *settings), fits.relevance,
        **more,  # type: ignore[arg-type]
    )  # fmt: skip


def _reviews(long: str) -> Slice:
    """Every 3,125th review, because the file starts with all negative ones."""
    return Slice(
        f"imdb-{long}", "imdb/train.csv.gz", "imdb/test.csv.gz", lines(slice(700, None, 3125), header=True),
        without_column(-1, ","),
        (f"task.long_texts={long}", "task.stride=16", "model.max_length=96", "data.id=id"), fits.label,
        part=lines(slice(0, None, 3125), header=True), examples=8, batch_size=2, truncates=long != "windows",
    )  # fmt: skip


def _news(long: str) -> Slice:
    """A post of each of nine groups, because the file is sorted by group."""
    return Slice(
        f"20newsgroups-{long}", "20newsgroups/train.jsonl.gz", "20newsgroups/test.jsonl.gz",
        lines(slice(180, 753 * 9, 753)), without_keys("label"),
        (f"task.long_texts={long}", "task.stride=16", "model.max_length=96", "data.id=id"), fits.label,
        part=lines(slice(280, 1131 * 9, 1131)), examples=9, batch_size=2, stop=6, truncates=long != "windows",
    )  # fmt: skip


def _pairs(name: str, train: str, held_out: str, cut: Cut, *settings: str, **more: object) -> Slice:
    return Slice(
        name, train, held_out, cut, without_column(-1), settings, fits.label, **more,  # type: ignore[arg-type]
    )  # fmt: skip


_CONLL = "conll2003/train.txt", "conll2003/valid.txt"
_C3: dict[str, Any] = {
    "settings": ("task.name=multiple_choice", "model.max_length=512"),
    "examples": 24, "batch_size": 8, "epochs": 5, "stop": 4, "is_chinese": True,
}  # fmt: skip
_NUMBERED = ("data.text=0,1", "data.label=2")

SLICES = (
    Slice(
        "goemotions", "goemotions/train.tsv", "goemotions/dev.tsv", lines(slice(0, 24)), without_column(1),
        ("task.name=multilabel", "data.text=0", "data.label=1", "data.id=2",
         "task.label_file={data}/goemotions/labels.txt"),
        fits.labels, examples=32, batch_size=8,
    ),
    Slice(
        "stsb", "stsb/train.tsv", "stsb/dev.tsv", lines(slice(0, 30), header=True), without_column(-1),
        ("task.name=regression", "task.low=0", "task.high=5"), fits.value, examples=64, batch_size=8, stop=9,
    ),
    Slice(
        "conll2003", *_CONLL, sentences(24), first_column, ("task.name=token_classification",
        "data.reader=conll"),
        fits.spans, examples=48, batch_size=8, epochs=3, stop=7, reading=("data.reader=conll",),
    ),
    Slice(
        "weibo_ner", "weibo_ner/train.all.bmes", "weibo_ner/dev.all.bmes", sentences(20), first_column,
        ("task.name=ner",), fits.spans, examples=64, batch_size=16, is_chinese=True, epochs=4,
    ),
    Slice(
        "resume_ner", "resume_ner/train.char.bmes", "resume_ner/dev.char.bmes", lines(slice(0, 12)),
        words_of_lines, ("task.name=ner",), fits.spans_of_text, examples=32, batch_size=8, epochs=4,
        is_chinese=True,
        says_the_same=False,  # for texts with spaces
    ),
    _squad("tydiqa", "tydiqa_en/tydiqa.goldp.en.train.json", articles(slice(-6, None), 1)),
    _squad("squad1", "squad1_slice/dev.json", articles(slice(-1, None), 6)),
    _squad(
        "squad2", "squad2_half_dev/dev-v2.0.cs224n.json", articles(slice(-1, None), 8), fits=fits.maybe_answer
    ),
    _squad(
        "cmrc2018", "cmrc2018/cmrc2018_dev.json", articles(slice(-4, None), 5),
        examples=24, batch_size=8, stop=4, is_chinese=True, epochs=4,
    ),
    _choice("dream", "dream", 5, examples=8, stop=3),
    _choice("c3-mixed", "c3/c3-m", 10, **_C3, truncates=True),
    _choice("c3-dialogue", "c3/c3-d", 10, **_C3),
    _wikiqa("wikiqa-pointwise", examples=40, batch_size=8, stop=6),
    _wikiqa("wikiqa-listwise", "task.loss=listwise", examples=108, batch_size=1),
    Slice(
        "cord19", "cord19/cord19-query-title-label.sample165.csv",
        "cord19/cord19-query-title-label.sample165.csv", lines(slice(100, None), header=True),
        without_column(-1, ","), ("task.name=ranking",), fits.relevance, examples=32, batch_size=8,
    ),
    _pairs(
        "afqmc", "afqmc/train.txt", "afqmc/dev.txt", lines(slice(0, 40)), *_NUMBERED,
        examples=64, batch_size=16, is_chinese=True, epochs=4,
    ),
    _pairs("rte", "rte/train.tsv", "rte/dev.tsv", lines(slice(0, 16), header=True)),
    _pairs(
        "xnli-en", "xnli/dev-en.tsv", "xnli/dev-en.tsv", lines(slice(-18, None)), *_NUMBERED,
        examples=24, batch_size=6,
    ),
    _pairs(
        "xnli-zh", "xnli/dev-zh.tsv", "xnli/dev-zh.tsv", lines(slice(-18, None)), *_NUMBERED,
        examples=48, batch_size=12, is_chinese=True, epochs=4,
    ),
    *(_reviews(long) for long in ("truncate", "head_tail")),
    *(_news(long) for long in ("head_tail", "windows")),
    Slice(
        "embeddings-stsb", "stsb/train.tsv", "stsb/dev.tsv", lines(slice(0, 40), header=True),
        without_column(-1), ("task.name=embeddings", "train.lr=2e-5"), fits.likeness,
        examples=32, batch_size=32, epochs=5, stop=2,  # one batch: cosent compares pairs within it
        least=("spearman", 0.6),
    ),
    Slice(
        "embeddings-wikiqa", "wikiqa/train.txt", "wikiqa/dev.txt", relevant(slice(0, 24)), without_column(-1),
        ("task.name=embeddings", "data.text=0,1"), fits.likeness,
        part=relevant(slice(0, 32)), examples=32, batch_size=8, least=("mrr@10", 0.5),
    ),
    Slice(
        "language_modelling", "wikiqa/train.txt", "wikiqa/dev.txt", documents(8), whole,
        ("task.name=language_modelling", "data.reader=documents"), fits.masks,
        part=documents(16), reading=("data.reader=documents",),
    ),
)  # fmt: skip
