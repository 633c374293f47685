"""Trains named entity recognition with the transformers Trainer, following its run_ner example.

    python benchmarks/peers/hf_tokens.py --train FILE --validation FILE --recipe JSON --seed 1 --out FILE

Each tag is a class. The first subword of a word is labelled with its tag, the others are ignored. The
predicted tag of a word is the most probable class of its first subword. Entities are decoded as in seqeval's
default mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import peer_recipe
from peer_recipe import Features, Run

IGNORED = -100
Sentence = tuple[list[str], list[str]]  # words and their tags
Entity = tuple[int, int, str]  # first word, last word + 1 (exclusive), type


def read(path: Path) -> list[Sentence]:
    """The sentences of a file in CoNLL format: words in the first column, tags in the last."""
    sentences: list[Sentence] = []
    for block in path.read_text(encoding="utf-8").split("\n\n"):
        rows = [line.split() for line in block.splitlines() if line.strip()]
        if rows and rows[0][0] != "-DOCSTART-":
            sentences.append(([row[0] for row in rows], [row[-1] for row in rows]))
    return sentences


def encode(
    sentences: Sequence[Sentence], tokenizer: Any, number: dict[str, int], max_length: int
) -> tuple[Features, list[list[tuple[int, int]]]]:
    """Features, and for each sentence the pairs of word index and index of its first subword."""
    encoded = tokenizer(
        [words for words, _ in sentences], is_split_into_words=True, truncation=True, max_length=max_length
    )
    features, places = [], []
    for row, (_, tags) in enumerate(sentences):
        word_ids = encoded.word_ids(row)
        firsts = [
            (word, piece)
            for piece, word in enumerate(word_ids)
            if word is not None and word not in word_ids[:piece]
        ]
        labels = [IGNORED] * len(word_ids)
        for word, piece in firsts:
            labels[piece] = number.get(tags[word], IGNORED)
        features.append({**{name: encoded[name][row] for name in encoded}, "labels": labels})
        places.append(firsts)
    return features, places


def entities(tags: Sequence[str]) -> set[Entity]:
    """The entities of a sentence; an I- tag that does not continue an entity of its type starts one."""
    found: set[Entity] = set()
    start, kind = 0, ""
    for at, tag in enumerate([*tags, "O"]):
        prefix, _, own = tag.partition("-")
        if kind and (prefix != "I" or own != kind):
            found.add((start, at, kind))
            kind = ""
        if prefix != "O" and not kind:
            start, kind = at, own
    return found


def scores(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> dict[str, float]:
    """Micro-averaged precision, recall and F1 of exactly matched entities, and the accuracy of tags."""
    pairs = [(entities(one), entities(other)) for one, other in zip(gold, predicted, strict=True)]
    right = sum(len(one & other) for one, other in pairs)
    num_gold, num_predicted = sum(len(one) for one, _ in pairs), sum(len(other) for _, other in pairs)
    equal = [
        a == b for one, other in zip(gold, predicted, strict=True) for a, b in zip(one, other, strict=True)
    ]
    return {
        "precision": right / max(1, num_predicted),
        "recall": right / max(1, num_gold),
        "f1": 2 * right / max(1, num_gold + num_predicted),
        "accuracy": sum(equal) / len(equal),
    }


def run(asked: Run, folder: Path) -> dict[str, float]:
    """Trains and scores the held-out sentences."""
    from transformers import (
        AutoModelForTokenClassification,
        AutoTokenizer,
        DataCollatorForTokenClassification,
        set_seed,
    )

    train, held_out = read(asked.train), read(asked.validation)
    tags = sorted({tag for _, own in train for tag in own})
    number = {tag: i for i, tag in enumerate(tags)}
    tokenizer = AutoTokenizer.from_pretrained(asked.encoder)
    collate = DataCollatorForTokenClassification(tokenizer)
    max_length = asked.recipe["max_length"]
    set_seed(asked.seed)
    model = AutoModelForTokenClassification.from_pretrained(
        asked.encoder, num_labels=len(tags), ignore_mismatched_sizes=True
    )
    features, _ = encode(train, tokenizer, number, max_length)
    model = peer_recipe.train(model, asked, features, collate, folder)
    features, places = encode(held_out, tokenizer, number, max_length)
    predicted = []
    for output, firsts, (words, _) in zip(
        peer_recipe.outputs(model, features, collate), places, held_out, strict=True
    ):
        best = output["logits"].argmax(-1)
        sentence_tags = ["O"] * len(words)  # words without a subword keep O
        for word, piece in firsts:
            sentence_tags[word] = tags[best[piece]]
        predicted.append(sentence_tags)
    return scores([gold for _, gold in held_out], predicted)


if __name__ == "__main__":
    peer_recipe.main(run, "accelerate")
