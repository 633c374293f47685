"""Trains multiple choice with the transformers Trainer, following the library's run_swag example.

    python benchmarks/peers/hf_choice.py --train FILE --validation FILE --recipe JSON --seed 1 --out FILE

The first text is the dialogue; the second is the question and a choice, separated by a space. All choices of
a question are processed together, and the one with the highest logit is the answer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import peer_recipe
from peer_recipe import Features, Run


@dataclass(frozen=True)
class Question:
    """A question about a dialogue, its choices, and the index of the correct one."""

    dialogue: str
    question: str
    choices: list[str]
    right: int


def read(path: Path) -> list[Question]:
    """The questions of a file in DREAM's format. Raises ValueError if the numbers of choices differ."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = [
        Question("\n".join(lines), asked["question"], asked["choice"], asked["choice"].index(asked["answer"]))
        for lines, questions, _ in content
        for asked in questions
    ]
    if len({len(asked.choices) for asked in found}) != 1:
        raise ValueError(f"{path}: questions with different numbers of choices cannot share a batch here")
    return found


def encode(questions: Sequence[Question], tokenizer: Any, max_length: int) -> Features:
    """One feature per question, with a list of sequences, one per choice."""
    firsts = [asked.dialogue for asked in questions for _ in asked.choices]
    seconds = [f"{asked.question} {choice}" for asked in questions for choice in asked.choices]
    encoded = tokenizer(firsts, seconds, truncation=True, max_length=max_length)
    each = len(questions[0].choices)
    return [
        {
            **{name: rows[number * each : (number + 1) * each] for name, rows in encoded.items()},
            "labels": asked.right,
        }
        for number, asked in enumerate(questions)
    ]


def run(asked: Run, folder: Path) -> dict[str, float]:
    """Trains and scores the held-out questions."""
    from transformers import (
        AutoModelForMultipleChoice,
        AutoTokenizer,
        DataCollatorForMultipleChoice,
        set_seed,
    )

    train, held_out = read(asked.train), read(asked.validation)
    tokenizer = AutoTokenizer.from_pretrained(asked.encoder)
    collate = DataCollatorForMultipleChoice(tokenizer)
    max_length = asked.recipe["max_length"]
    set_seed(asked.seed)
    model = AutoModelForMultipleChoice.from_pretrained(asked.encoder, ignore_mismatched_sizes=True)
    model = peer_recipe.train(model, asked, encode(train, tokenizer, max_length), collate, folder)
    outputs = peer_recipe.outputs(model, encode(held_out, tokenizer, max_length), collate)
    hits = [
        int(one["logits"].argmax()) == question.right for one, question in zip(outputs, held_out, strict=True)
    ]
    return {"accuracy": sum(hits) / len(hits)}


if __name__ == "__main__":
    peer_recipe.main(run, "accelerate")
