"""Reads the gold answers of a question from a row, checks them and finds them in the context."""

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

import numpy as np

from bertune.data.columns import refuse_half_characters
from bertune.data.rows import Row
from bertune.errors import DataError, listed

Answer = dict[str, Any]  # {"text", "answer_start"}; -1 where the text is nowhere in the context
_FORMS = '[{"text": "…", "answer_start": 0}, …] or {"text": ["…"], "answer_start": [0]}'


@dataclass(frozen=True, slots=True)
class Gold:
    """The answers of a question, none where it has no answer."""

    answers: tuple[Answer, ...]
    num_moved: int  # those whose offset was wrong and that stand elsewhere in the context


def refuse_blank(
    columns: SequenceOf[str], texts: SequenceOf[str], location: str, may_have_no_question: bool
) -> None:
    """Raises DataError for a question or a context (in this order) without a character."""
    for number, (column, text) in enumerate(zip(columns, texts, strict=True)):
        if text.strip() or (number == 0 and may_have_no_question):
            continue
        go_on = "" if number else ", or say task.invalid_examples=count"
        raise DataError(f"{location}: the {column} is empty. Fill it in or remove the question{go_on}")


def read_gold(row: Row, column: str, context: str, location: str) -> Gold:
    """The answers in a cell, each where it stands in the context. Raises DataError.

    An offset that does not fit gives way to the nearest position with that very text.
    """
    pairs = _pairs(row, column, location)
    impossible = row.values.get("is_impossible")
    if not isinstance(impossible, bool | np.bool_ | None):
        raise DataError(f"{location}: is_impossible must be true or false; it is {impossible!r:.40}")
    if impossible is None and "is_impossible" in row.values and not pairs:
        raise DataError(
            f'{location}: the question has neither an answer nor "is_impossible": true. Add one of them; a '
            "file without answers can be predicted but not scored"
        )
    if impossible is True and any(text.strip() for text, _ in pairs):
        raise DataError(
            f'{location}: is_impossible is true, yet there is the answer "{pairs[0][0]}"; drop one'
        )
    if impossible is False and not pairs:
        raise DataError(f"{location}: is_impossible is false, yet there is no answer; correct one of them")
    if impossible is True:
        return Gold((), 0)
    for text, _ in pairs:
        if not text.strip():
            raise DataError(
                f"{location}: the text of an answer is empty. Write an empty list of answers if the question "
                "has none; a file without answers can be predicted but not scored"
            )
    starts = [_nearest(context, text, start) for text, start in pairs]
    for (text, start), at in zip(pairs, starts, strict=True):
        if at >= 0 and start + len(text) > len(context):
            raise DataError(
                f'{location}: the answer "{text[:60]}" at {start} ends after the context, which has '
                f"{len(context)} characters. Correct answer_start; it counts characters from 0"
            )
    found = tuple({"text": text, "answer_start": at} for (text, _), at in zip(pairs, starts, strict=True))
    return Gold(found, sum(at not in (-1, start) for (_, start), at in zip(pairs, starts, strict=True)))


def learned(answers: SequenceOf[Answer] | None) -> Answer | None:
    """The answer to learn: the first that stands in the context."""
    return next((answer for answer in answers or () if answer["answer_start"] >= 0), None)


def notes_on(examples: SequenceOf[Any], faulty: SequenceOf[Any]) -> Iterator[str]:
    """What training examples have that one would not expect, with the first of each kind.

    Nothing is learned from `faulty` ones.
    """
    if faulty:
        locations = listed([example.id for example in faulty], 20)
        yield (
            f"{len(faulty):,} of {len(examples):,} training questions are blank, or have no answer in the "
            f"context; nothing is learned from them (task.invalid_examples=count): {locations}"
        )
    moved = [e for e in examples if e.num_moved]
    if moved:
        yield (
            f"{sum(e.num_moved for e in moved):,} answers are not where their answer_start says; the nearest "
            f"place with the same text is taken (first: {moved[0].location})"
        )
    absent = [
        e for e in examples if e.gold and learned(e.gold) and any(a["answer_start"] < 0 for a in e.gold)
    ]
    if absent:
        yield (
            f"{len(absent):,} questions have answers that are nowhere in the context; another one "
            f"of theirs is learned (first: {absent[0].location})"
        )
    num_unanswerable = sum(not e.gold for e in examples)
    if num_unanswerable:
        yield f'{num_unanswerable:,} training questions have no answer, so "no answer" may be predicted'


def _pairs(row: Row, column: str, location: str) -> list[tuple[str, int]]:
    """Texts and offsets, from SQuAD's form or from that of Hugging Face's data sets. Raises DataError."""
    pairs = _listed(row.values.get(column), column, location)
    for text, _ in pairs:
        refuse_half_characters(row, column, text)
    return pairs


def _listed(value: Any, column: str, location: str) -> list[tuple[str, int]]:
    if value is None:
        raise DataError(
            f'{location}: column "{column}" is empty; expected {_FORMS}, or an empty list if the question '
            "has no answer. A file without answers can be predicted but not used to train or evaluate"
        )
    if isinstance(value, Mapping) and {"text", "answer_start"} <= value.keys():
        texts, starts = _plain(value["text"]), _plain(value["answer_start"])
        if not (isinstance(texts, list) and isinstance(starts, list) and len(texts) == len(starts)):
            raise DataError(
                f'{location}: "{column}" must have two lists of one length, {_FORMS}; found {value}'
            )
        return [_pair(text, start, column, location) for text, start in zip(texts, starts, strict=True)]
    listed = _plain(value)
    if not isinstance(listed, list):
        raise DataError(f'{location}: "{column}" must be {_FORMS}; found {value!r:.60}')
    for answer in listed:
        if not (isinstance(answer, Mapping) and {"text", "answer_start"} <= answer.keys()):
            raise DataError(
                f'{location}: an answer must be {{"text": "…", "answer_start": 0}}; found {answer!r:.60}'
            )
    return [_pair(answer["text"], answer["answer_start"], column, location) for answer in listed]


def _pair(text: Any, start: Any, column: str, location: str) -> tuple[str, int]:
    if not isinstance(text, str) or isinstance(start, bool) or not isinstance(start, int):
        raise DataError(
            f'{location}: an answer in "{column}" needs a text and, as answer_start, the number of its '
            f"first character in the context; found {text!r:.60} and {start!r:.20}"
        )
    return text, start


def _plain(value: Any) -> Any:
    return value.tolist() if hasattr(value, "tolist") else value  # arrays, where a table was a data frame


def _nearest(context: str, text: str, start: int) -> int:
    """Where a text stands in the context, as near to `start` as can be; -1 where it does not."""
    if start >= 0 and context.startswith(text, start):
        return start
    before = context.rfind(text, 0, max(0, start) + len(text))
    after = context.find(text, max(0, start))
    return min((at for at in (before, after) if at >= 0), key=lambda at: abs(at - start), default=-1)
