"""Owns extractive question answering: the passage of a context that answers a question, or none.

Dimensions: S sequences (windows over contexts), T tokens of all end to end, L longest.
"""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import Columns, cell_text
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.metrics import answers as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.nn.heads import StandardHead
from bertune.tasks import Labels, Task
from bertune.tasks._answers import Answer, learned, notes_on, read_gold, refuse_blank
from bertune.tasks._passages import Asked, Windows, answer_tokens, candidate, distinct, passages, windows
from bertune.tasks._wrong_answers import wrong_answers
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

    stride: int = Field(
        128,
        ge=0,
        description="tokens that neighbouring windows of a long context share; train.batch_size counts "
        "questions, each with all its windows",
    )
    max_question: int = Field(
        64, ge=1, description="most tokens of a question; longer ones are refused, since none is ever cut"
    )
    max_answer: int = Field(30, ge=1, description="most tokens of a predicted answer")
    n_best: int = Field(20, ge=1, description="how many answers a prediction lists")
    no_answer_threshold: float = Field(
        0.0,
        description="where some questions have no answer: by how much that must score above the best answer "
        "before none is given; the score best_null_threshold says what would have been best",
        json_schema_extra=CHANGEABLE,
    )
    faults: Literal["refuse", "count"] = Field(
        "refuse",
        description="blank questions, and those whose answers are all nowhere in their context: refused; or "
        "counted, scored as they are, and nothing is learned from them",
        json_schema_extra=CHANGEABLE,
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
    row_noun: ClassVar[str] = "question"
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
        refuse_blank(columns.text, (question, context), place, self.options.faults == "count")
        if columns.label is None:
            return Example(row_id, row.origin, (question, context))
        gold = read_gold(row, columns.label, context, place)
        return Example(row_id, row.origin, (question, context), gold.answers, gold.num_moved)

    def labels(self, examples: SequenceOf[Example]) -> Labels:
        answerable = [e for e in examples if e.gold]
        self._refuse_absent(answerable)
        if not any(learned(e.gold) for e in answerable if _is_sound(e)):
            raise DataError(
                f"{examples[0].origin.file}: none of the {len(examples):,} questions has an answer; there is "
                "nothing to learn"
            )
        self._notes = tuple(notes_on(examples, [e for e in examples if not _is_sound(e)]))
        return (ANSWER,) if len(answerable) == len(examples) else (ANSWER, NO_ANSWER)

    def check(self, examples: SequenceOf[Example], labels: Labels) -> None:
        self._refuse_absent(examples)

    def _refuse_absent(self, examples: SequenceOf[Example]) -> None:
        """Raises DataError for answers that are nowhere in their context, unless they are to be counted."""
        absent = next((e for e in examples if e.gold and learned(e.gold) is None), None)
        if absent is not None and self.options.faults == "refuse":
            assert absent.gold is not None
            raise DataError(
                f'{absent.place}: the answer "{absent.gold[0]["text"]}" is nowhere in the context. Correct '
                "one of them, remove the question, or say task.faults=count"
            )

    def notes(self) -> tuple[str, ...]:
        return self._notes

    def names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else (ANSWER,) if example.gold else (NO_ANSWER,)

    def unit(self, example: Example) -> str:
        return example.texts[1]

    def lessons(self, examples: SequenceOf[Example]) -> list[list[int]] | None:
        sound = [[position] for position, example in enumerate(examples) if _is_sound(example)]
        return None if len(sound) == len(examples) else sound

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
        n_best = distinct(found, example.texts[1])[: self.options.n_best]
        none = candidate(None, None, None, min(float(logit[0].sum()) for logit in logits))
        margin = none["score"] - n_best[0]["score"] if n_best else 0.0
        may_withhold = len(labels) > 1 or not n_best
        withheld = may_withhold and (not n_best or margin > self.options.no_answer_threshold)
        chosen = none if withheld else n_best[0]
        if may_withhold:
            n_best = sorted([*n_best, none], key=lambda one: -one["score"])
        scores = np.array([one["score"] for one in n_best])
        odds = np.exp(scores - scores.max())
        for one, probability in zip(n_best, (odds / odds.sum()).tolist(), strict=True):
            one["score"] = probability
        return AnswerPrediction(**chosen, no_answer_score=margin, n_best=n_best)

    def score(
        self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example], labels: Labels
    ) -> Scores:
        return metrics.score(
            [[answer["text"] for answer in e.gold or ()] for e in examples],
            [p.answer for p in predictions],
            [next((c["answer"] for c in p.n_best if c["answer"]), None) for p in predictions],
            np.array([p.no_answer_score for p in predictions]),
            np.array([p.score for p in predictions]),
            self.options.no_answer_threshold,
        )

    def warnings(
        self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example], labels: Labels
    ) -> list[str]:
        found = []
        if (
            len(predictions) > 1
            and all(p.answer is None for p in predictions)
            and any(e.gold for e in examples)
        ):
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

    def mistakes(
        self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example], labels: Labels
    ) -> Mistakes:
        return wrong_answers(predictions, examples, len(labels) > 1)

    def _how(self, max_length: int | None) -> Windows:
        return Windows(max_length, self.options.stride, self.options.max_question)


def _place(origin: Origin, row_id: str) -> str:
    return str(origin) if row_id == str(origin.line) else f'{origin} (id "{row_id}")'


def _is_sound(example: Example) -> bool:
    """Whether there is something to learn: a question, and its answer in the context, or none."""
    return bool(example.texts[0].strip()) and (not example.gold or learned(example.gold) is not None)


def _gold(example: Example, found: list[Sequence]) -> list[NDArray[np.int64]]:
    answer = learned(example.gold)
    if answer is not None:
        start = answer["answer_start"]
        return answer_tokens(found, start, start + len(answer["text"]))
    return [np.full(2, _UNKNOWN if example.gold else 0)] * len(found)


TASK = Qa
