"""Extractive question answering: find the span of a context that answers a question, or predict no answer."""

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from bertune.config import CHANGEABLE, Section
from bertune.data.columns import ColumnNames, Columns, cell_text
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, counted, none_has
from bertune.metrics import answers as metrics
from bertune.metrics.limitations import UNDEFINED, Limitation
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.scores import Scores
from bertune.tasks import OF_A_RULE, Output, Task
from bertune.tasks.explained import Explained, OutputWeights, Target
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.question_answering.answer_spans import (
    UNKNOWN,
    Question,
    Windows,
    answer_tokens,
    best_tokens,
    candidate,
    distinct,
    passages,
    windows,
)
from bertune.tasks.question_answering.decisions import DecidesAnswers
from bertune.tasks.question_answering.error_analysis import wrong_answers
from bertune.tasks.question_answering.reading import Answer, learned, notes_on, read_gold, refuse_blank
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

ANSWER, NO_ANSWER = "answer", "no answer"
_WINDOW = 384  # tokens; the SQuAD setting published with Devlin et al. 2019


@dataclass(frozen=True, slots=True)
class Example:
    """A question, its context and its gold answers; empty if the question is unanswerable."""

    id: str
    origin: Origin
    texts: tuple[str, ...]
    gold: tuple[Answer, ...] | None = None
    num_moved: int = 0  # answers found at another position than their offset

    @property
    def location(self) -> str:
        """File, line and id of the question, for error messages."""
        return _location(self.origin, self.id)


@dataclass(frozen=True, slots=True)
class AnswerPrediction:
    """The best answer, or None if the model predicts "no answer"."""

    answer: str | None
    start: int | None  # first character in the context
    end: int | None  # last character in the context + 1
    score: float  # probability, normalized over the n-best list
    no_answer_score: float  # score of "no answer" minus the score of the best answer, in logits
    n_best: list[dict[str, Any]]  # answer, start, end and score of each candidate, most probable first
    decision: str | None = field(default=None, metadata=OF_A_RULE)


class QuestionAnsweringOptions(Section):
    """Settings under [task] when task.name is question_answering."""

    stride: int = Field(
        128,
        ge=0,
        description="number of tokens by which adjacent windows of a long context overlap; train.batch_size "
        "counts questions, each with all its windows",
    )
    max_question: int = Field(
        64,
        ge=1,
        description="maximum length of a question in tokens; questions are never truncated: training and "
        "evaluation refuse longer ones, prediction leaves them without an answer",
        json_schema_extra=CHANGEABLE,
    )
    max_answer: int = Field(30, ge=1, description="maximum length of a predicted answer in tokens")
    n_best: int = Field(20, ge=1, description="number of candidate answers in a prediction")
    no_answer_threshold: float = Field(
        0.0,
        description='"no answer" is predicted if its score exceeds that of the best answer by more than '
        "this; the score best_null_threshold reports the best value for the evaluated data",
        json_schema_extra=CHANGEABLE,
    )
    invalid_examples: Literal["refuse", "count"] = Field(
        "refuse",
        description="how to handle empty questions and questions whose answers do not occur in the context: "
        "refuse them, or count them in the scores without training on them",
        json_schema_extra=CHANGEABLE,
    )


class FittedQuestionAnswering(DecidesAnswers):
    """Fitted question answering, with or without "no answer" as a label."""

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

        `offsets` refer to the context. `gold` holds the first and the last token of the answer: both are 0 if
        the window does not contain the answer, and -1, which the loss ignores, if the context does not.
        """
        questions = [Question(e.texts[0], e.texts[1], e.location) for e in examples]
        sequences: list[Sequence] = []
        for example, own_windows in zip(
            examples, windows(questions, tokenizer, self._how(max_length)), strict=True
        ):
            if example.gold is None:
                sequences += own_windows
                continue
            gold = _gold(example, own_windows)
            sequences += [replace(window, gold=g) for window, g in zip(own_windows, gold, strict=True)]
        return sequences

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForQuestionAnswering", 2, is_named=False, per_token=True)

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.question_answering.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> AnswerPrediction:
        """The best span of all windows; each output holds the logits [length, 2] of a window."""
        chosen, n_best, margin = self.candidates(outputs, sequences, example)
        scores = np.array([one["score"] for one in n_best])
        odds = np.exp(self.calibrated(scores - scores.max()))
        for one, probability in zip(n_best, (odds / odds.sum()).tolist(), strict=True):
            one["score"] = probability
        decision = self.decided(chosen["score"])
        return AnswerPrediction(**chosen, no_answer_score=margin, n_best=n_best, decision=decision)

    def candidates(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> tuple[dict[str, Any], list[dict[str, Any]], float]:
        """The predicted candidate, all candidates, and the score of "no answer" minus that of the best
        answer.

        Scores are sums of logits. The predicted one is among all candidates.
        """
        logits = [output.astype(np.float64) for output in outputs]
        spans = passages(logits, sequences, self._how(None), self.options.max_answer, self.options.n_best)
        n_best = distinct(spans, example.texts[1])[: self.options.n_best]
        none = candidate(None, None, None, min(float(logit[0].sum()) for logit in logits))
        margin = none["score"] - n_best[0]["score"] if n_best else 0.0
        may_withhold = self.may_withhold or not n_best
        withheld = may_withhold and (not n_best or margin > self.options.no_answer_threshold)
        chosen = none if withheld else n_best[0]
        if may_withhold:
            n_best = sorted([*n_best, none], key=lambda one: -one["score"])
        return chosen, n_best, margin

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained:
        """The start logit plus the end logit of the answer, or of "no answer"."""
        found = self.decode(outputs, sequences, example)
        window, tokens = best_tokens(outputs, sequences, found.start, found.end)
        weights = OutputWeights(window, tokens, np.array([0, 1]), np.ones(2), tokens)
        return Explained(None, (weights,))

    def sequence_texts(self, example: Example, number: int) -> tuple[str, ...]:
        return example.texts[0].strip(), example.texts[1]  # as in `windows`

    def for_scoring(self, examples: SequenceOf[Example]) -> Self:
        _refuse_absent(self.options, examples)
        return self

    def decision(self, prediction: Mapping[str, Any]) -> Any:
        return prediction["answer"], prediction["start"], prediction["end"]  # not the other candidates

    def is_gold(self, decision: Any, gold: Any) -> bool:
        """Whether the answer is one of the gold answers, or none if there are none."""
        known = [answer["text"] for answer in gold or ()]
        return decision[0] in known if known else decision[0] is None

    def score(self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example]) -> Scores:
        return metrics.score(
            [[answer["text"] for answer in e.gold or ()] for e in examples],
            [p.answer for p in predictions],
            [next((c["answer"] for c in p.n_best if c["answer"]), None) for p in predictions],
            np.array([p.no_answer_score for p in predictions]),
            np.array([p.score for p in predictions]),
            self.options.no_answer_threshold,
        )

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        num_without = sum(not e.gold for e in examples)
        if not num_without:
            names = ("no_answer_f1", "no_answer_em", "best_f1", "best_em", "best_null_threshold")
            fact = "every question has an answer"
            return [Limitation(fact, dict.fromkeys(names, UNDEFINED), is_usual=True)]
        settled: dict[str, str] = {}
        has = "has" if num_without == 1 else "have"
        fact = f"{num_without:,} of the {counted(len(examples), 'question')} {has} no answer"
        if num_without == len(examples):
            fact = f"{none_has(num_without, 'question')} an answer"
            settled = {"has_answer_f1": UNDEFINED, "has_answer_em": UNDEFINED, "best_f1": "1", "best_em": "1"}
        if not self.may_withhold:
            fact += ", but the model always predicts one: all training questions have an answer"
            settled |= {"no_answer_f1": "0", "no_answer_em": "0"}
            if num_without == len(examples):
                settled |= {"f1": "0", "em": "0"}
        return [Limitation(fact, settled)] if settled else []

    def warnings(
        self,
        predictions: SequenceOf[AnswerPrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        warnings = []
        if (
            len(predictions) > 1
            and all(p.answer is None for p in predictions)
            and any(e.gold for e in examples)
        ):
            warnings.append(
                'collapsed: the model predicts "no answer" for every question. Usual remedies: a lower '
                "train.lr (3e-5), more train.warmup, another train.seed, more epochs, or a higher "
                "task.no_answer_threshold"
            )
        num_long = self._num_long(sequences)
        if num_long:
            warnings.append(
                f"{counted(num_long, 'gold answer')} {'has' if num_long == 1 else 'have'} more than "
                f"{counted(self.options.max_answer, 'token')} and can never be "
                "predicted. Set task.max_answer to allow longer answers"
            )
        return warnings

    def mistakes(self, predictions: SequenceOf[AnswerPrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_answers(predictions, examples, self.may_withhold)

    @property
    def may_withhold(self) -> bool:
        """Whether "no answer" can be predicted: only if some training questions are unanswerable."""
        return len(self.labels) > 1

    def _num_long(self, sequences: SequenceOf[Sequence]) -> int:
        """The number of examples whose gold answer is longer than task.max_answer."""
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
    """Find the span of a context that answers a question (Devlin et al. 2019, section 4.2).

    The start and the end of the answer are predicted by a softmax over the tokens of each window. The gold
    position of windows without the answer, and of all windows of unanswerable questions, is the first token.
    "No answer" is predicted only if the training data has unanswerable questions (section 4.3).
    """

    Options = QuestionAnsweringOptions
    Prediction = AnswerPrediction
    Fitted = FittedQuestionAnswering
    primary: ClassVar[str] = "f1"
    is_calibrated: ClassVar[bool] = True
    scores: ClassVar[tuple[str, ...]] = (
        "f1", "em", "has_answer_f1", "no_answer_f1", "has_answer_em", "no_answer_em",
        "best_f1", "best_em", "best_null_threshold",
    )  # fmt: skip
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=(
            ("question", "context"), ("query", "context"), ("question", "passage"), ("query", "passage"),
            ("问题", "上下文"),
        ),
        label=("answers", "answer", "answer_text", "answers_text", "answers.text", "答案"),
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
            "question": "what does Bo play?",
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
        may_be_unclear = self.options.invalid_examples == "count"
        gold = read_gold(row, columns.label, context, location, may_be_unclear)
        return Example(row_id, row.origin, (question, context), gold.answers, gold.num_moved)

    def group_key(self, example: Example) -> str:
        """The context: all questions about a context stay in the same split."""
        return example.texts[1]

    def fit(self, examples: SequenceOf[Example]) -> FittedQuestionAnswering:
        answerable = [e for e in examples if e.gold]
        _refuse_absent(self.options, answerable)
        if not any(learned(e.gold) for e in answerable if _is_sound(e)):
            raise DataError(
                f"{examples[0].origin.file}: {none_has(len(examples), 'question')} an answer. Training "
                "needs at least one question whose answer occurs in the context"
            )
        labels = (ANSWER,) if len(answerable) == len(examples) else (ANSWER, NO_ANSWER)
        notes = tuple(notes_on(examples, [e for e in examples if not _is_sound(e)]))
        made: FittedQuestionAnswering = self.fitted(labels, notes)
        return made


def _refuse_absent(options: QuestionAnsweringOptions, examples: SequenceOf[Example]) -> None:
    """Raise DataError for answers that do not occur in the context, unless task.invalid_examples=count."""
    absent = next((e for e in examples if e.gold and learned(e.gold) is None), None)
    if absent is not None and options.invalid_examples == "refuse":
        assert absent.gold is not None
        raise DataError(
            f'{absent.location}: the answer "{absent.gold[0]["text"]}" does not occur in the context. '
            "Correct one of them, remove the question, or set task.invalid_examples=count"
        )


def _location(origin: Origin, row_id: str) -> str:
    return str(origin) if row_id == str(origin.line) else f'{origin} (id "{row_id}")'


def _is_sound(example: Example) -> bool:
    """Whether an example can be used for training: a non-empty question, answerable or without answers."""
    return bool(example.texts[0].strip()) and (not example.gold or learned(example.gold) is not None)


def _gold(example: Example, all_windows: list[Sequence]) -> list[NDArray[np.int64]]:
    answer = learned(example.gold)
    if answer is not None:
        start = answer["answer_start"]
        return answer_tokens(all_windows, start, start + len(answer["text"]))
    return [np.full(2, UNKNOWN if example.gold else 0)] * len(all_windows)


TASK = QuestionAnswering
