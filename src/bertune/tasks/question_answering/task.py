"""Extractive question answering: the passage of a context that answers a question, or no answer."""

from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import ColumnNames, Columns, cell_text
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.metrics import answers as metrics
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import FittedTask, Output, Task
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.question_answering.answer_spans import (
    UNKNOWN,
    Question,
    Windows,
    answer_tokens,
    candidate,
    distinct,
    passages,
    windows,
)
from bertune.tasks.question_answering.error_analysis import wrong_answers
from bertune.tasks.question_answering.reading import Answer, learned, notes_on, read_gold, refuse_blank
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

ANSWER, NO_ANSWER = "answer", "no answer"
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
    def location(self) -> str:
        """Where it was read, for errors."""
        return _location(self.origin, self.id)


@dataclass(frozen=True, slots=True)
class AnswerPrediction:
    """The best answer, or None where withholding it is better."""

    answer: str | None
    start: int | None  # characters of the context: first, and last + 1
    end: int | None
    score: float  # its probability among the n best
    no_answer_score: float  # by how much "no answer" scores above the best answer there is
    n_best: list[dict[str, Any]]  # answer, start, end, score each, the most probable first


class QuestionAnsweringOptions(Section):
    """Settings under [task] when task.name is question_answering."""

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
    invalid_examples: Literal["refuse", "count"] = Field(
        "refuse",
        description="blank questions, and those whose answers are all nowhere in their context: refused; or "
        "counted, scored as they are, and nothing is learned from them",
        json_schema_extra=CHANGEABLE,
    )


class FittedQuestionAnswering(FittedTask):
    """Question answering that knows whether "no answer" is one of its labels."""

    def label_names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else (ANSWER,) if example.gold else (NO_ANSWER,)

    def group_training_examples(self, examples: SequenceOf[Example]) -> list[list[int]] | None:
        sound = [[position] for position, example in enumerate(examples) if _is_sound(example)]
        return None if len(sound) == len(examples) else sound

    def auto_length(self, limit: int) -> int:
        return min(limit, _WINDOW)

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        """The windows of every question, in order.

        `offsets` are offsets in the context. `gold` is the first and the last token of the answer: 0 where
        the window does not contain it, -1, which the loss ignores, where the context does not.
        """
        questions = [Question(e.texts[0], e.texts[1], e.location) for e in examples]
        sequences: list[Sequence] = []
        for example, found in zip(
            examples, windows(questions, tokenizer, self._how(max_length)), strict=True
        ):
            if example.gold is not None:
                gold = _gold(example, found)
                found = [replace(window, gold=tokens) for window, tokens in zip(found, gold, strict=True)]
            sequences += found
        return sequences

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForQuestionAnswering", 2, is_named=False, per_token=True)

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.question_answering.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> AnswerPrediction:
        """The best passage of all windows; each output is [length, 2]."""
        logits = [output.astype(np.float64) for output in outputs]
        found = passages(logits, sequences, self._how(None), self.options.max_answer, self.options.n_best)
        n_best = distinct(found, example.texts[1])[: self.options.n_best]
        none = candidate(None, None, None, min(float(logit[0].sum()) for logit in logits))
        margin = none["score"] - n_best[0]["score"] if n_best else 0.0
        may_withhold = self.may_withhold or not n_best
        withheld = may_withhold and (not n_best or margin > self.options.no_answer_threshold)
        chosen = none if withheld else n_best[0]
        if may_withhold:
            n_best = sorted([*n_best, none], key=lambda one: -one["score"])
        scores = np.array([one["score"] for one in n_best])
        odds = np.exp(scores - scores.max())
        for one, probability in zip(n_best, (odds / odds.sum()).tolist(), strict=True):
            one["score"] = probability
        return AnswerPrediction(**chosen, no_answer_score=margin, n_best=n_best)

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        _refuse_absent(self.options, examples)
        return self

    def score(self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example]) -> Scores:
        return metrics.score(
            [[answer["text"] for answer in e.gold or ()] for e in examples],
            [p.answer for p in predictions],
            [next((c["answer"] for c in p.n_best if c["answer"]), None) for p in predictions],
            np.array([p.no_answer_score for p in predictions]),
            np.array([p.score for p in predictions]),
            self.options.no_answer_threshold,
        )

    def warnings(
        self,
        predictions: SequenceOf[AnswerPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
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
        num_long = self._num_long(sequences)
        if num_long:
            found.append(
                f"{num_long:,} gold answers have more than {self.options.max_answer} tokens, and none "
                "as long is ever predicted; task.max_answer=… allows longer ones"
            )
        return found

    def mistakes(self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_answers(predictions, examples, self.may_withhold)

    @property
    def may_withhold(self) -> bool:
        """Whether "no answer" may be predicted: only if training questions had none."""
        return len(self.labels) > 1

    def _num_long(self, sequences: SequenceOf[Sequence]) -> int:
        """The number of examples whose gold answer is longer than any prediction may be."""
        too_long = set()
        for window in sequences:
            if isinstance(window.gold, np.ndarray):
                first, last = window.gold
                if last - first >= self.options.max_answer:
                    too_long.add(window.group)
        return len(too_long)

    def _how(self, max_length: int | None) -> Windows:
        return Windows(max_length, self.options.stride, self.options.max_question)


class QuestionAnswering(Task):
    """The first and last token of an answer, by softmax over each window (Devlin et al. 2019, section 4.2).

    Windows without the answer, and all windows of a question that has none, point to their first token; "no
    answer" is predicted only by models that saw such questions in training (section 4.3).
    """

    Options = QuestionAnsweringOptions
    Prediction = AnswerPrediction
    Fitted = FittedQuestionAnswering
    primary: ClassVar[str] = "f1"
    scores: ClassVar[tuple[str, ...]] = (
        "f1", "em", "has_answer_f1", "no_answer_f1", "has_answer_em", "no_answer_em",
        "best_f1", "best_em", "best_null_threshold",
    )  # fmt: skip
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=(
            ("question", "context"), ("query", "context"), ("question", "passage"), ("query", "passage"),
            ("问题", "上下文"),
        ),
        label=("answers", "answer", "答案"),
        num_texts=(2,),
    )  # fmt: skip
    noun: ClassVar[str] = "question"
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

    def parse(self, row: Row, columns: Columns) -> Example:
        column = columns.id or ("id" if "id" in row.values else None)
        row_id = (cell_text(row, column) if column is not None else "") or str(row.origin.line)
        location = _location(row.origin, row_id)
        question, context = (cell_text(row, column) for column in columns.text)
        refuse_blank(columns.text, (question, context), location, self.options.invalid_examples == "count")
        if columns.label is None:
            return Example(row_id, row.origin, (question, context))
        gold = read_gold(row, columns.label, context, location)
        return Example(row_id, row.origin, (question, context), gold.answers, gold.num_moved)

    def group_key(self, example: Example) -> str:
        """The context: all questions about it stay on one side of a split."""
        return example.texts[1]

    def fit(self, examples: SequenceOf[Example]) -> FittedQuestionAnswering:
        answerable = [e for e in examples if e.gold]
        _refuse_absent(self.options, answerable)
        if not any(learned(e.gold) for e in answerable if _is_sound(e)):
            raise DataError(
                f"{examples[0].origin.file}: none of the {len(examples):,} questions has an answer; there is "
                "nothing to learn"
            )
        labels = (ANSWER,) if len(answerable) == len(examples) else (ANSWER, NO_ANSWER)
        notes = tuple(notes_on(examples, [e for e in examples if not _is_sound(e)]))
        made: FittedQuestionAnswering = self.fitted(labels, notes)
        return made


def _refuse_absent(options: QuestionAnsweringOptions, examples: SequenceOf[Example]) -> None:
    """Raises DataError for answers that are nowhere in their context, unless task.invalid_examples=count."""
    absent = next((e for e in examples if e.gold and learned(e.gold) is None), None)
    if absent is not None and options.invalid_examples == "refuse":
        assert absent.gold is not None
        raise DataError(
            f'{absent.location}: the answer "{absent.gold[0]["text"]}" is nowhere in the context. Correct '
            "one of them, remove the question, or say task.invalid_examples=count"
        )


def _location(origin: Origin, row_id: str) -> str:
    return str(origin) if row_id == str(origin.line) else f'{origin} (id "{row_id}")'


def _is_sound(example: Example) -> bool:
    """Whether there is something to learn: a question, and its answer in the context, or none."""
    return bool(example.texts[0].strip()) and (not example.gold or learned(example.gold) is not None)


def _gold(example: Example, found: list[Sequence]) -> list[NDArray[np.int64]]:
    answer = learned(example.gold)
    if answer is not None:
        start = answer["answer_start"]
        return answer_tokens(found, start, start + len(answer["text"]))
    return [np.full(2, UNKNOWN if example.gold else 0)] * len(found)


TASK = QuestionAnswering
