"""Trains extractive question answering with the transformers Trainer, following its run_qa example.

    python benchmarks/peers/hf_qa.py --train FILE --validation FILE --recipe JSON --seed 1 --out FILE

Contexts are split into overlapping windows; the target of a window without the complete answer is its first
token. The n best starts and ends of all windows of a question are combined, and the best valid pair is the
answer. The SQuAD scores are implemented here.
"""

from __future__ import annotations

import json
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import peer_recipe
from peer_recipe import Features, Run

N_BEST = 20
MOST_TOKENS = 30  # per answer
_ARTICLES = re.compile(r"\b(a|an|the)\b")


@dataclass(frozen=True)
class Question:
    """A question, its context, and its gold answers: text and first character."""

    question: str
    context: str
    answers: list[tuple[str, int]]


def read(path: Path) -> list[Question]:
    """The questions of a SQuAD file. Raises ValueError if a question has no answer."""
    content = json.loads(path.read_text(encoding="utf-8"))
    found = [
        Question(
            asked["question"],
            paragraph["context"],
            [(answer["text"], answer["answer_start"]) for answer in asked["answers"]],
        )
        for article in content["data"]
        for paragraph in article["paragraphs"]
        for asked in paragraph["qas"]
    ]
    if not all(asked.answers for asked in found):
        raise ValueError(f"{path}: a question has no answer; this recipe supports SQuAD 1.1 only")
    return found


@dataclass(frozen=True)
class Window:
    """A window: model inputs, index of its question, and offsets of its context tokens."""

    feature: dict[str, Any]
    number: int
    places: list[tuple[int, int] | None]  # character offsets of each context token, None for other tokens


def windows(questions: Sequence[Question], tokenizer: Any, max_length: int, stride: int) -> list[Window]:
    """The windows of all questions, in order."""
    encoded = tokenizer(
        [asked.question.lstrip() for asked in questions],
        [asked.context for asked in questions],
        truncation="only_second",
        max_length=max_length,
        stride=stride,
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    found = []
    for row, number in enumerate(encoded["overflow_to_sample_mapping"]):
        owners, offsets = encoded.sequence_ids(row), encoded["offset_mapping"][row]
        names = [name for name in tokenizer.model_input_names if name in encoded]
        feature = {name: encoded[name][row] for name in names}
        places = [tuple(place) if owner == 1 else None for place, owner in zip(offsets, owners, strict=True)]
        found.append(Window(feature, number, places))
    return found


def answer_in(window: Window, question: Question) -> tuple[int, int]:
    """The first and last token of the first answer; 0 and 0 if the window does not contain all of it."""
    text, start = question.answers[0]
    end = start + len(text)
    inside = [(token, place) for token, place in enumerate(window.places) if place is not None]
    if not inside or inside[0][1][0] > start or inside[-1][1][1] < end:
        return 0, 0
    first = max(token for token, place in inside if place[0] <= start)
    last = min(token for token, place in inside if place[1] >= end)
    return first, last


def best_answer(context: str, windowed: Sequence[tuple[Window, dict[str, Any]]]) -> str:
    """The answer with the highest sum of logits over a question's windows; "" if no pair is valid."""
    best, answer = -np.inf, ""
    for window, logits in windowed:
        starts, ends = (
            np.argsort(logits[name][: len(window.places)])[::-1][:N_BEST]
            for name in ("start_logits", "end_logits")
        )
        for start in starts:
            for end in ends:
                first, last = window.places[start], window.places[end]
                score = logits["start_logits"][start] + logits["end_logits"][end]
                if first is None or last is None or not start <= end < start + MOST_TOKENS or score <= best:
                    continue
                best, answer = score, context[first[0] : last[1]]
    return answer


def normalized(text: str) -> list[str]:
    """The words of an answer, normalized as in the SQuAD evaluation."""
    plain = "".join(char for char in text.lower() if char not in string.punctuation)
    return _ARTICLES.sub(" ", plain).split()


def scores(questions: Sequence[Question], answers: Sequence[str]) -> dict[str, float]:
    """Mean exact match and F1, each the maximum over a question's answers (Rajpurkar et al. 2016)."""
    exact, overlap = [], []
    for asked, answer in zip(questions, answers, strict=True):
        ours = normalized(answer)
        gold = [normalized(text) for text, _ in asked.answers]
        exact.append(max(ours == theirs for theirs in gold))
        overlap.append(max(_f1(ours, theirs) for theirs in gold))
    return {"em": float(np.mean(exact)), "f1": float(np.mean(overlap))}


def _f1(ours: list[str], theirs: list[str]) -> float:
    shared = sum((Counter(ours) & Counter(theirs)).values())
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * shared / (len(ours) + len(theirs))


def run(asked: Run, folder: Path) -> dict[str, float]:
    """Trains and scores the held-out questions."""
    from transformers import AutoModelForQuestionAnswering, AutoTokenizer, DataCollatorWithPadding, set_seed

    train, held_out = read(asked.train), read(asked.validation)
    tokenizer = AutoTokenizer.from_pretrained(asked.encoder)
    collate = DataCollatorWithPadding(tokenizer)
    how = asked.recipe["max_length"], asked.recipe["stride"]
    set_seed(asked.seed)
    model = AutoModelForQuestionAnswering.from_pretrained(asked.encoder)
    features: Features = []
    for window in windows(train, tokenizer, *how):
        first, last = answer_in(window, train[window.number])
        features.append({**window.feature, "start_positions": first, "end_positions": last})
    model = peer_recipe.train(model, asked, features, collate, folder)
    found = windows(held_out, tokenizer, *how)
    outputs = peer_recipe.outputs(model, [window.feature for window in found], collate)
    by_question: list[list[tuple[Window, dict[str, Any]]]] = [[] for _ in held_out]
    for window, logits in zip(found, outputs, strict=True):
        by_question[window.number].append((window, logits))
    answers = [
        best_answer(one.context, windowed) for one, windowed in zip(held_out, by_question, strict=True)
    ]
    return scores(held_out, answers)


if __name__ == "__main__":
    peer_recipe.main(run, "accelerate")
