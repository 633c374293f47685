"""Multiple choice: pick the right answer to a question from two or more choices."""

import re
from collections import Counter
from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from bertune.data.columns import ColumnNames, Columns, cell_text
from bertune.data.rows import Origin, Row
from bertune.errors import DataError, counted
from bertune.metrics.details import baseline, calibration
from bertune.metrics.limitations import Limitation
from bertune.metrics.mistakes import Mistakes
from bertune.metrics.ranking import reciprocal_rank
from bertune.metrics.scores import Scores, weighted_mean
from bertune.tasks import OF_A_RULE, FittedTask, Output, Task
from bertune.tasks.explained import Explained, OutputWeights, Target, item_position
from bertune.tasks.form import Form, FormField
from bertune.tasks.head_spec import HeadSpec
from bertune.tasks.multiple_choice.error_analysis import by_number, by_position, wrong_choices
from bertune.tasks.multiple_choice.reading import (
    NUMBERED_COLUMNS,
    MultipleChoiceOptions,
    num_choice_columns,
    read_answer,
    read_question,
    refuse_incomplete,
)
from bertune.text.sequences import Sequence
from bertune.text.tokenizer import Tokenizer

if TYPE_CHECKING:
    from torch import Tensor

    from bertune.nn.batch import Batch

_GAP = re.compile(r"(?<![^\W_])_+(?![^\W_])")  # underscores that are not part of a word
# With this many questions of 5 choices, the chance that the first choice is never correct is 1 in 70,000.
_MANY = 50


@dataclass(frozen=True, slots=True)
class Example:
    """A question about a context, its choices, and the position of the correct one.

    The context or the question may be empty. `texts` holds those that the row has, then all choices joined.
    """

    id: str
    origin: Origin
    texts: tuple[str, ...]
    context: str
    question: str
    choices: tuple[str, ...]
    gold: int | None = None
    num_columns: int = 0  # number of choice columns; 0 if one cell holds all choices


@dataclass(frozen=True, slots=True)
class ChoicePrediction:
    """The most probable choice, its position from 0, and the probability of every choice in input order."""

    choice: str
    index: int
    probabilities: list[float]
    decision: str | None = field(default=None, metadata=OF_A_RULE)


class FittedMultipleChoice(FittedTask):
    """Fitted multiple choice."""

    label_scope = "position"

    @property
    def keep_together(self) -> Literal["sequence", "group", "step"]:
        return "group"

    def label_names(self, example: Example) -> tuple[str, ...]:
        return () if example.gold is None else (f"choice {example.gold}",)

    def encode(
        self, examples: SequenceOf[Example], tokenizer: Tokenizer, max_length: int | None
    ) -> list[Sequence]:
        pairs = [_pair(e, choice) for e in examples for choice in e.choices]
        groups = [group for group, e in enumerate(examples) for _ in e.choices]
        golds = [gold for e in examples for gold in _golds(e)]
        return [
            replace(s, group=group, gold=gold)
            for s, group, gold in zip(tokenizer.encode(pairs, max_length), groups, golds, strict=True)
        ]

    @property
    def head(self) -> HeadSpec:
        return HeadSpec("AutoModelForMultipleChoice", 1)

    def loss(self, outputs: "Tensor", batch: "Batch") -> tuple["Tensor", "Tensor"]:
        from bertune.tasks.multiple_choice.loss import loss

        return loss(self, outputs, batch)

    def decode(self, outputs: list[Output], sequences: list[Sequence], example: Example) -> ChoicePrediction:
        scores = self.calibrated(np.concatenate(outputs).astype(np.float64))
        shares = np.exp(scores - scores.max())
        probabilities = (shares / shares.sum()).tolist()
        best = max(range(len(probabilities)), key=probabilities.__getitem__)
        decision = self.decided(probabilities[best])
        return ChoicePrediction(example.choices[best], best, probabilities, decision)

    @property
    def calibration_kind(self) -> Literal["softmax"]:
        return "softmax"

    calibration_unit: ClassVar[str] = "questions"
    answer_noun: ClassVar[str] = "question"

    def decision(self, prediction: Mapping[str, Any]) -> Any:
        return prediction["index"]  # as in the gold

    def calibration_terms(
        self, outputs: list[Output], sequences: list[Sequence], example: Example
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]] | None:
        if example.gold is None:
            return None
        return np.concatenate(outputs).astype(np.float64)[None], np.array([example.gold])

    def judged(self, prediction: ChoicePrediction, example: Example) -> list[tuple[str, float, bool]]:
        assert example.gold is not None
        is_wrong = prediction.choice != example.choices[example.gold]
        return [("", prediction.probabilities[prediction.index], is_wrong)]

    def form(self, columns: tuple[str, ...]) -> Form:
        if num_choice_columns(columns, self.options) > 1:
            return super().form(columns)
        return Form((*map(FormField, columns[:-1]), FormField(columns[-1], "list")))

    def explained(
        self, outputs: list[Output], sequences: list[Sequence], example: Example, target: Target = None
    ) -> Explained:
        """The logit of a choice, given by its position; default: the prediction."""
        best = int(np.concatenate(outputs).argmax())
        chosen = best if target is None else item_position(target, len(example.choices), "choice")
        return Explained(chosen, (OutputWeights.of_row(chosen, [0], [1.0]),))

    def sequence_texts(self, example: Example, number: int) -> tuple[str, ...]:
        return _pair(example, example.choices[number])

    def score(self, predictions: SequenceOf[ChoicePrediction], examples: SequenceOf[Example]) -> Scores:
        right: dict[int, list[bool]] = {}
        is_right: list[bool] = []
        reciprocals = []
        for prediction, example in zip(predictions, examples, strict=True):
            assert example.gold is not None
            gold = example.choices[example.gold]
            is_right.append(prediction.choice == gold)
            right.setdefault(len(example.choices), []).append(is_right[-1])
            is_gold = np.array([choice == gold for choice in example.choices])
            reciprocals.append(reciprocal_rank(is_gold, np.array(prediction.probabilities)))
        of_questions = {"accuracy": np.array(is_right, np.float64), "mrr": np.array(reciprocals)}
        chance = float(np.mean([1 / len(e.choices) for e in examples]))
        details = {
            "unit": "question",
            "count": len(examples),
            "baseline": baseline("accuracy", chance, "random choice"),
            "tables": [by_number(right), by_position(predictions, examples)],
            "figures": [calibration([max(p.probabilities) for p in predictions], is_right, "choices")],
        }
        return Scores.of(
            lambda weights_RN: {
                name: weighted_mean(weights_RN, each_N) for name, each_N in of_questions.items()
            },
            len(examples),
            details,
        )

    def limitations(self, examples: SequenceOf[Example], sequences: SequenceOf[Sequence]) -> list[Limitation]:
        if any(len(set(e.choices)) > 1 for e in examples):
            return []
        return [Limitation("all choices of every question are identical", {"accuracy": "1", "mrr": "1"})]

    def warnings(
        self,
        predictions: SequenceOf[ChoicePrediction],
        examples: SequenceOf[Example],
        sequences: SequenceOf[Sequence],
    ) -> list[str]:
        seen = Counter(p.index for p in predictions)
        if len(seen) > 1 or len(predictions) < 10 or seen.keys() == {e.gold for e in examples}:
            return []
        return [
            f"collapsed: the model predicts choice {next(iter(seen))} for every question. Usual remedies: a "
            "lower train.lr (2e-5), more train.warmup, another train.seed, more epochs"
        ]

    def mistakes(self, predictions: SequenceOf[ChoicePrediction], examples: SequenceOf[Example]) -> Mistakes:
        return wrong_choices(predictions, examples)


class MultipleChoice(Task):
    """Pick the right one of several choices (one sequence per choice), with a softmax over the choices.

    The context is the first text and the question followed by a choice is the second, as for SWAG (Devlin et
    al. 2019, section 4.4). If the question has a gap, as in RACE, the choice is filled in.
    """

    Options = MultipleChoiceOptions
    Prediction = ChoicePrediction
    Fitted = FittedMultipleChoice
    primary: ClassVar[str] = "accuracy"
    is_calibrated: ClassVar[bool] = True
    scores: ClassVar[tuple[str, ...]] = ("accuracy", "mrr")
    columns: ClassVar[ColumnNames] = ColumnNames(
        text=(
            ("context", "question", "choices"), ("context", "question", "options"), ("question", "choices"),
            ("article", "question", "options"), ("passage", "question", "choices"),
            ("passage", "question", "options"), ("context", "choices"), ("question", "options"),
            ("ctx", "endings"), ("context", "endings"),
            ("sent1", "sent2", "ending0", "ending1", "ending2", "ending3"), ("goal", "sol1", "sol2"),
            ("premise", "question", "choice1", "choice2"), *NUMBERED_COLUMNS,
        ),
        label=("label", "answer", "answerKey", "gold", "correct", "target"),
        num_texts=tuple(range(2, 9)),
    )  # fmt: skip
    noun: ClassVar[str] = "question"
    sample: ClassVar[tuple[dict[str, Any], ...]] = (
        {"context": "tom is ill", "question": "where is he ?", "choices": ["at home", "at work"], "label": 0},
        {"context": "it rains", "question": "we need", "choices": ["sun", "an umbrella", "milk"], "label": 1},
        {
            "context": "the shop is shut",
            "question": "it is",
            "choices": ["noon", "early", "night"],
            "label": 2,
        },
        {"context": "ann sings", "question": "she is", "choices": ["sad", "happy"], "label": 1},
    )

    def parse(self, row: Row, columns: Columns) -> Example:
        item = read_question(row, columns, self.options)
        refuse_incomplete(row, item)
        context, question = item.heads if len(item.heads) == 2 else ("", item.heads[0])
        gold = None if columns.label is None else read_answer(row, columns.label, item, self.options)
        # Question files usually have an id column; the readers of DREAM, C3 and RACE add one.
        id_column = columns.id or ("id" if "id" in row.values else None)
        row_id = (cell_text(row, id_column) if id_column else "") or str(row.origin.line)
        texts = (*item.heads, " | ".join(item.choices))
        return Example(row_id, row.origin, texts, context, question, item.choices, gold, item.num_columns)

    def is_blank(self, row: Row, columns: Columns) -> bool:
        return read_question(row, columns, self.options).is_blank

    def group_key(self, example: Example) -> str | None:
        return example.context or None  # questions about the same context stay in the same split

    def fit(self, examples: SequenceOf[Example]) -> FittedMultipleChoice:
        no_first = self.options.answers == "auto" and all(e.gold != 0 for e in examples)
        if no_first and len(examples) >= _MANY:
            raise DataError(
                f"{examples[0].origin.file}: the first choice is never correct in the {len(examples):,} "
                "training questions. If the labels start at 1, set task.answers=number_from_1; otherwise set "
                "task.answers to number, letter or text"
            )
        notes = []
        twins = [e for e in examples if len(set(e.choices)) < len(e.choices)]
        if twins:
            have = "has" if len(twins) == 1 else "have"
            notes.append(
                f"{counted(len(twins), 'training question')} {have} identical "
                f"choices (first: {twins[0].origin}); if one of them is correct, so are the others"
            )
        if no_first:
            notes.append(
                "the first choice is never correct in the training questions; if the labels start at 1, set "
                "task.answers=number_from_1"
            )
        # Inputs without column names, such as standard input, can only be assigned by the number of choices.
        num_choices = examples[-1].num_columns
        resolved = {"choices": num_choices} if num_choices else {}
        fitted: FittedMultipleChoice = self.fitted((), notes, **resolved)
        return fitted


def _pair(example: Example, choice: str) -> tuple[str, ...]:
    """The one or two texts of a sequence."""
    context, question = example.context, example.question
    filled, num_gaps = _GAP.subn(lambda _: choice, question)
    if num_gaps == 1:
        return (context, filled) if context else (filled,)
    if not context:
        return (question, choice)
    return (context, f"{question} {choice}" if question else choice)


def _golds(example: Example) -> list[float | None]:
    """The target probability of each choice: 1 for the correct one, split evenly among identical choices."""
    if example.gold is None:
        return [None] * len(example.choices)
    right = example.choices[example.gold]
    share = 1 / example.choices.count(right)
    return [share if choice == right else 0.0 for choice in example.choices]


TASK = MultipleChoice
