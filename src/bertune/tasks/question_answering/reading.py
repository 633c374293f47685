"""Validate the gold answers of a question and locate them in the context."""

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from typing import Any

from bertune.data.rows import Row
from bertune.errors import DataError, counted, listed
from bertune.tasks.question_answering.written_answers import (
    WrittenAnswer,
    read_is_impossible,
    written_answers,
)

Answer = dict[str, Any]  # {"text", "answer_start"}; -1 if the position in the context is unknown


@dataclass(frozen=True, slots=True)
class Gold:
    """The gold answers of a question; empty if it has no answer."""

    answers: tuple[Answer, ...]
    num_moved: int  # answers whose offset was wrong but that occur elsewhere in the context


def refuse_blank(
    columns: SequenceOf[str], texts: SequenceOf[str], location: str, may_have_no_question: bool
) -> None:
    """Raise DataError for an empty question or context; `columns` and `texts` are in this order."""
    for number, (column, text) in enumerate(zip(columns, texts, strict=True)):
        if text.strip() or (number == 0 and may_have_no_question):
            continue
        hint = "" if number else ", or set task.invalid_examples=count"
        raise DataError(f"{location}: the {column} is empty. Fill it in or remove the question{hint}")


def read_gold(row: Row, column: str, context: str, location: str, may_be_unclear: bool) -> Gold:
    """Read the answers in a cell and locate each one in the context. Raises DataError.

    A wrong offset is replaced with the nearest position of the same text. An answer without an offset must
    occur exactly once, unless `may_be_unclear`: then its position is -1 if it occurs more than once.
    """
    impossible = read_is_impossible(row, location)
    answers = written_answers(row, column, context, location, may_be_empty=impossible is True)
    if impossible is None and "is_impossible" in row.values and not answers:
        raise DataError(
            f'{location}: the question has neither an answer nor "is_impossible": true. Add one of them. A '
            "file without answers can be predicted but not scored"
        )
    if impossible is True and any(text.strip() for text, _ in answers):
        raise DataError(
            f'{location}: is_impossible is true, but the question has the answer "{answers[0][0]}". Remove '
            "one of them"
        )
    if impossible is False and not answers:
        raise DataError(
            f"{location}: is_impossible is false, but the question has no answer. Correct one of them"
        )
    if impossible is True:
        return Gold((), 0)
    for text, _ in answers:
        if not text.strip():
            raise DataError(
                f"{location}: an answer has an empty text. Write an empty list if the question has no "
                "answer. A file without answers can be predicted but not scored"
            )
    starts = [_only(context, t) if start is None else _nearest(context, t, start) for t, start in answers]
    _refuse_unclear(answers, starts, context, location, may_be_unclear)
    for (text, start), at in zip(answers, starts, strict=True):
        if start is not None and at >= 0 and start + len(text) > len(context):
            raise DataError(
                f'{location}: the answer "{text[:60]}" at {start} ends after the context, which has '
                f"{len(context)} characters. Correct answer_start, a character offset from 0"
            )
    located = tuple({"text": text, "answer_start": at} for (text, _), at in zip(answers, starts, strict=True))
    num_moved = sum(
        start not in (None, at) and at >= 0 for (_, start), at in zip(answers, starts, strict=True)
    )
    return Gold(located, num_moved)


def learned(answers: SequenceOf[Answer] | None) -> Answer | None:
    """The answer to train on: the first one with a known position in the context."""
    return next((answer for answer in answers or () if answer["answer_start"] >= 0), None)


def notes_on(examples: SequenceOf[Any], faulty: SequenceOf[Any]) -> Iterator[str]:
    """Notes on unusual training examples, each with the location of the first one.

    `faulty` examples are not used for training.
    """
    if faulty:
        locations = listed([example.id for example in faulty], 20)
        are = "is empty, or has" if len(faulty) == 1 else "are empty, or have"
        yield (
            f"{len(faulty):,} of {counted(len(examples), 'training question')} {are} no answer with a known "
            "position in the context, so bertune does not train on such questions "
            f"(task.invalid_examples=count): {locations}"
        )
    moved = [e for e in examples if e.num_moved]
    if moved:
        number = sum(e.num_moved for e in moved)
        are = "is not at its" if number == 1 else "are not at their"
        yield (
            f"{counted(number, 'answer')} {are} answer_start; bertune uses the nearest position of the same "
            f"text (first: {moved[0].location})"
        )
    absent = [
        e for e in examples if e.gold and learned(e.gold) and any(a["answer_start"] < 0 for a in e.gold)
    ]
    if absent:
        yield (
            f"{counted(len(absent), 'question')} {'has' if len(absent) == 1 else 'have'} answers that do not "
            "occur in the context, or whose position is unknown; bertune trains on another answer to the "
            f"same question (first: {absent[0].location})"
        )
    num_unanswerable = sum(not e.gold for e in examples)
    if num_unanswerable:
        has = "has" if num_unanswerable == 1 else "have"
        without = counted(num_unanswerable, "training question")
        yield f'{without} {has} no answer, so the model can predict "no answer"'


def _nearest(context: str, text: str, start: int) -> int:
    """The occurrence of a text in the context that is nearest to `start`; -1 if there is none."""
    if start >= 0 and context.startswith(text, start):
        return start
    before = context.rfind(text, 0, max(0, start) + len(text))
    after = context.find(text, max(0, start))
    return min((at for at in (before, after) if at >= 0), key=lambda at: abs(at - start), default=-1)


def _only(context: str, text: str) -> int:
    """The position of a text in the context; -1 unless it occurs exactly once."""
    first = context.find(text)
    return first if first >= 0 and context.find(text, first + 1) < 0 else -1


def _refuse_unclear(
    answers: SequenceOf[WrittenAnswer],
    starts: SequenceOf[int],
    context: str,
    location: str,
    may_be_unclear: bool,
) -> None:
    """Raise DataError if no position is known and an answer without an offset occurs several times."""
    if may_be_unclear or any(at >= 0 for at in starts):
        return
    unclear = next((text for text, start in answers if start is None and text in context), None)
    if unclear is not None:
        raise DataError(
            f'{location}: the answer "{unclear[:60]}" occurs {_times(context, unclear)} times in the '
            'context and has no offset. Add a column "answer_start" with the position of its first '
            "character, counted from 0; remove the question; or set task.invalid_examples=count"
        )


def _times(context: str, text: str) -> int:
    """The number of occurrences of a text, including overlapping ones."""
    return sum(context.startswith(text, at) for at in range(len(context)))
