"""Owns extractive question answering: the passage of a context that answers a question, or none.

Dimensions: S sequences (windows over contexts), T tokens of all end to end, L longest.
"""

from collections.abc import Iterator
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from bertune.config import Section
from bertune.data.columns import Columns, cell_text
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.metrics import answers as metrics
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.tasks import Labels, Task
from bertune.tasks._answers import Answer, read_gold
from bertune.tasks._passages import Asked, Windows, answer_tokens, passages, windows
from bertune.text.sequences import Batch, Sequence
from bertune.text.tokenizer import Tokenizer

ANSWER, NO_ANSWER = "answer", "no answer"
_UNKNOWN = -1  # gold of windows where nobody knows what is in them
_WINDOW = 384  # tokens (Devlin et al. 2019, their published settings for SQuAD)


@dataclass(frozen=True, slots=True)
class Example:
    """A question and its context, with the answers there are; none where it cannot be answered."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: tuple[Answer, ...] | None = None
    num_moved: int = 0  # answers found elsewhere than their offset says

    @property
    def place(self) -> str:
        """Where it was read, for errors."""
        return _place(self.origin, self.id)


@dataclass(frozen=True, slots=True)
class AnswerPrediction:
    """The best answer, or None where withholding it is better."""

    answer: str | None
    start: int | None  # characters of the context: first, and last + 1
    end: int | None
    score: float  # its probability among the n best
    no_answer_score: float  # by how much "no answer" scores above the best answer there is
    n_best: list[dict[str, Any]]  # answer, start, end, score each, the most probable first


class QaOptions(Section):
    """Settings under [task] when task.name is qa."""

    stride: int = Field(128, ge=0, description="tokens that neighbouring windows of a long context share")
    max_question: int = Field(
        64, ge=1, description="most tokens of a question; longer ones are refused, since none is ever cut"
    )
    max_answer: int = Field(30, ge=1, description="most tokens of a predicted answer")
    n_best: int = Field(20, ge=1, description="how many answers a prediction lists")
    no_answer_threshold: float = Field(
        0.0,
        description="where some questions have no answer: by how much that must score above the best answer "
        "before none is given; the score best_null_threshold says what would have been best",
    )


class Qa(Task):
    """The first and last token of an answer, by softmax over each window (Devlin et al. 2019, section 4.2).

    Windows without the answer, and all windows of a question that has none, point to their first token; "no
    answer" is predicted only by models that saw such questions in training (section 4.3).
    """

    Options = QaOptions
    Prediction = AnswerPrediction
    primary: ClassVar[str] = "f1"
    scores: ClassVar[tuple[str, ...]] = (
        "f1", "em", "has_answer_f1", "no_answer_f1", "has_answer_em", "no_answer_em",
        "best_f1", "best_em", "best_null_threshold",
    )  # fmt: skip
    text_names: ClassVar[tuple[tuple[str, ...], ...]] = (
        ("question", "context"), ("query", "context"), ("question", "passage"), ("query", "passage"),
        ("问题", "上下文"),
    )  # fmt: skip
    label_names: ClassVar[tuple[str, ...]] = ("answers", "answer", "答案")
    num_texts: ClassVar[tuple[int, ...]] = (2,)
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {
            "question": "who sings?",
            "context": "Ada sings and Bo plays the drum.",
            "answers": [{"text": "Ada", "answer_start": 0}],
        },
        {
            "question": "what plays Bo?",
            "context": "Ada sings and Bo plays the drum.",
            "answers": [{"text": "the drum", "answer_start": 23}],
        },
        {
            "question": "where is it?",
            "context": "A red lamp is on the table.",
            "answers": [{"text": "on the table", "answer_start": 14}],
        },
        {"question": "who broke it?", "context": "A red lamp is on the table.", "answers": []},
    )

    def __init__(self, options: Any) -> None:
        super().__init__(options)
        self._notes: tuple[str, ...] = ()
        self._num_long = 0  # gold answers seen that no prediction may be as long as

    def parse(self, row: Row, columns: Columns) -> Example:
        column = columns.id or ("id" if "id" in row.values else None)
        row_id = (cell_text(row, column) if column is not None else "") or str(row.origin.line)
        place = _place(row.origin, row_id)
        question, context = (cell_text(row, column) for column in columns.text)
        for name, text in zip(columns.text, (question, context), strict=True):
            if not text.strip():
                raise DataError(f"{place}: the {name} is empty. Fill it in or remove the question")
        if columns.label is None:
            return Example(row_id, row.origin, (question, context))
        gold = read_gold(row, columns.label, context, place)
        return Example(row_id, row.origin, (question, context), gold.answers, gold.num_moved)

    def labels(self, examples: SequenceOf[Example]) -> Labels:
        answerable = [e for e in examples if e.gold]
        for example in answerable:
            if _learned(example) is None:
                assert example.gold is not None
                raise DataError(
                    f'{example.place}: the answer "{example.gold[0]["text"]}" is nowhere in the context, so '
                    "it cannot be learned. Correct one of them, or remove the question"
                )
        if not answerable:
            raise DataError(
                f"{examples[0].origin.file}: none of the {len(examples):,} questions has an answer; there is "
                "nothing to learn"
            )
        self._notes = tuple(_notes(answerable, len(examples) - len(answerable)))
        return (ANSWER,) if len(answerable) == len(examples) else (ANSWER, NO_ANSWER)

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else (ANSWER,) if example.gold else (NO_ANSWER,)

    def unit(self, example: Example) -> str:
        return example.texts[1]

    def auto_length(self, limit: int) -> int:
        return min(limit, _WINDOW)

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None, labels: Labels
    ) -> list[Sequence]:
        """The windows of every question, in order.

        Their places are in the context; their gold is the first and the last token of the answer, 0 where the
        window is without it, and -1, which the loss leaves out, where the answer is nowhere in the context.
        """
        asked = [Asked(e.texts[0], e.texts[1], e.place) for e in examples]
        sequences: list[Sequence] = []
        for example, found in zip(examples, windows(asked, tokenizer, self._how(max_length)), strict=True):
            if example.gold is not None:
                gold = _gold(example, found)
                self._num_long += any(last - first >= self.options.max_answer for first, last in gold)
                found = [replace(window, gold=tokens) for window, tokens in zip(found, gold, strict=True)]
            sequences += found
        return sequences

    def head(self, labels: Labels) -> StandardHead:
        return StandardHead("AutoModelForQuestionAnswering", 2, is_named=False, per_token=True)

    def loss(self, outputs: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The mean of the cross-entropies of start and end, summed over windows; outputs are [T, 2]."""
        assert batch.gold is not None
        gold_S2 = batch.gold.view(-1, 2)
        scores = torch.split(outputs.float(), batch.lengths_S.tolist())
        scores_SL2 = pad_sequence(list(scores), batch_first=True, padding_value=-float("inf"))
        total = cross_entropy(scores_SL2, gold_S2, ignore_index=_UNKNOWN, reduction="sum") / 2
        return total, (gold_S2[:, 0] >= 0).sum()

    def decode(
        self, outputs: list[Tensor], sequences: list[Sequence], example: Example, labels: Labels
    ) -> AnswerPrediction:
        """The best passage over all windows; outputs are [length, 2] each."""
        logits = [output.double().numpy() for output in outputs]
        found = passages(logits, sequences, self._how(None), self.options.max_answer, self.options.n_best)
        n_best = _distinct(found, example.texts[1])[: self.options.n_best]
        none = _candidate(None, None, None, min(float(logit[0].sum()) for logit in logits))
        margin = none["score"] - n_best[0]["score"] if n_best else 0.0
        may_withhold = len(labels) > 1 or not n_best
        withheld = may_withhold and (not n_best or margin > self.options.no_answer_threshold)
        chosen = none if withheld else n_best[0]
        if may_withhold:
            n_best = sorted([*n_best, none], key=lambda candidate: -candidate["score"])
        scores = np.array([candidate["score"] for candidate in n_best])
        odds = np.exp(scores - scores.max())
        for candidate, probability in zip(n_best, (odds / odds.sum()).tolist(), strict=True):
            candidate["score"] = probability
        return AnswerPrediction(**chosen, no_answer_score=margin, n_best=n_best)

    def score(
        self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example], labels: Labels
    ) -> Scores:
        return metrics.score(
            [[answer["text"] for answer in e.gold or ()] for e in examples],
            [p.answer for p in predictions],
            [next((c["answer"] for c in p.n_best if c["answer"]), None) for p in predictions],
            np.array([p.no_answer_score for p in predictions]),
        )

    def warnings(self, predictions: SequenceOf[AnswerPrediction], labels: Labels) -> list[str]:
        found = []
        if len(predictions) > 1 and all(p.answer is None for p in predictions):
            found.append(
                "collapsed: no question is given an answer. Usual remedies: a lower train.lr (3e-5), more "
                "train.warmup, another train.seed, more epochs, or a greater task.no_answer_threshold"
            )
        if self._num_long:
            found.append(
                f"{self._num_long:,} gold answers have more than {self.options.max_answer} tokens, and none "
                "as long is ever predicted; task.max_answer=… allows longer ones"
            )
        return found

    def _how(self, max_length: int | None) -> Windows:
        return Windows(max_length, self.options.stride, self.options.max_question)


def _place(origin: Origin, row_id: str) -> str:
    return str(origin) if row_id == str(origin.line) else f'{origin} (id "{row_id}")'


def _learned(example: Example) -> Answer | None:
    """The answer to learn: the first that stands in the context."""
    return next((answer for answer in example.gold or () if answer["answer_start"] >= 0), None)


def _gold(example: Example, found: list[Sequence]) -> list[NDArray[np.int64]]:
    answer = _learned(example)
    if answer is not None:
        start = answer["answer_start"]
        return answer_tokens(found, start, start + len(answer["text"]))
    return [np.full(2, _UNKNOWN if example.gold else 0)] * len(found)


def _notes(answerable: SequenceOf[Example], num_unanswerable: int) -> Iterator[str]:
    """What training examples have that one would not expect, with the first of each kind."""
    moved = [e for e in answerable if e.num_moved]
    if moved:
        yield (
            f"{sum(e.num_moved for e in moved):,} answers are not where their answer_start says; the nearest "
            f"place with the same text is taken (first: {moved[0].place})"
        )
    absent = [e for e in answerable if any(answer["answer_start"] < 0 for answer in e.gold or ())]
    if absent:
        yield (
            f"{len(absent):,} questions have answers that are nowhere in the context; another one "
            f"of theirs is learned (first: {absent[0].place})"
        )
    if num_unanswerable:
        yield f'{num_unanswerable:,} training questions have no answer, so "no answer" may be predicted'


def _candidate(answer: str | None, start: int | None, end: int | None, score: float) -> dict[str, Any]:
    return {"answer": answer, "start": start, "end": end, "score": score}


def _distinct(found: SequenceOf[tuple[float, int, int]], context: str) -> list[dict[str, Any]]:
    """Passages as answers without spaces around them, each text once, at its best place."""
    by_text: dict[str, dict[str, Any]] = {}
    for score, start, end in found:
        passage = context[start:end]
        answer = passage.strip()
        first = start + len(passage) - len(passage.lstrip())
        if answer and answer not in by_text:
            by_text[answer] = _candidate(answer, first, first + len(answer), score)
    return list(by_text.values())


TASK = Qa
