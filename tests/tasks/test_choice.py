"""Multiple choice: formats of rows and answers, a sequence per choice, PyTorch's loss, complete training."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.nn.batch import collate
from bertune.tasks import make_task
from bertune.tasks.multiple_choice.task import ChoicePrediction, Example, MultipleChoice
from bertune.text.tokenizer import Tokenizer
from tiny import QUICK, bertune

COLUMNS = Columns(("context", "question", "choices"), "label", None)
SWAG = Columns(("sent1", "sent2", "ending0", "ending1", "ending2", "ending3"), "label", None)
ENDINGS = {"ending0": "sits", "ending1": "runs", "ending2": "[title] falls", "ending3": "[sings]"}


def task(**options: Any) -> MultipleChoice:
    made = make_task(TaskConfig(name="multiple_choice", **options))
    assert isinstance(made, MultipleChoice)
    return made


def parse(values: dict[str, Any], columns: Columns = COLUMNS, **options: Any) -> Example:
    return task(**options).parse(Row(values, Origin("quiz.jsonl", 7)), columns)


def asked(**changes: Any) -> dict[str, Any]:
    return {
        "context": "it rains",
        "question": "take a",
        "choices": ["hat", "coat", "bag"],
        "label": 1,
    } | changes


def decoded(tiny_weights: Path, examples: list[Example]) -> list[str]:
    tokenizer = Tokenizer.pretrained(tiny_weights)
    return [
        tokenizer.rust.decode(s.ids, skip_special_tokens=False)
        for s in task().fitted().encode(examples, tokenizer, None)
    ]


def test_a_swag_row_has_one_column_per_ending() -> None:
    example = parse({"sent1": "He stands.", "sent2": "He", **ENDINGS, "label": "3"}, SWAG)
    assert (example.context, example.question, example.gold) == ("He stands.", "He", 3)
    assert example.choices == tuple(ENDINGS.values())
    assert example.texts == ("He stands.", "He", "sits | runs | [title] falls | [sings]")


@pytest.mark.parametrize(
    "choices", [["hat", "coat"], '["hat", "coat"]', {"text": ["hat", "coat"], "label": ["1", "2"]}]
)
def test_choices_in_one_cell_can_be_a_list_json_or_named(choices: Any) -> None:
    assert parse(asked(choices=choices, label="coat")).gold == 1


def test_task_choices_takes_precedence_over_detection() -> None:
    named = {"text": ["hat", "coat", "bag"], "label": ["1", "2", "3"]}
    assert parse(asked(choices=named, label="3")).gold == 2
    assert parse(asked(choices=named, label="1")).gold == 0


@pytest.mark.parametrize(
    ("columns", "options", "heads", "num_choices"),
    [
        ("goal,sol1,sol2", {}, 1, 2),
        ("premise,question,choice1,choice2", {}, 2, 2),
        ("question,A,B,C,D", {}, 1, 4),
        ("sent1,sent2,ending0,ending1,ending2,ending3", {}, 2, 4),
        ("3,4,7,8,9,10", {}, 2, 4),  # a file without a header
        ("question,yes,no,maybe", {"choices": 3}, 1, 3),
        ("text_a,text_b,text_c", {"choices": 2}, 1, 2),
    ],
)
def test_columns_before_the_choices_are_context_and_question(
    columns: str, options: dict[str, Any], heads: int, num_choices: int
) -> None:
    names = tuple(columns.split(","))
    made = task(**options)
    example = made.parse(
        Row({name: f"of {name}" for name in names}, Origin("f", 1)), Columns(names, None, None)
    )
    assert example.choices == tuple(f"of {name}" for name in names[heads:])
    assert example.question == f"of {names[heads - 1]}"
    assert example.context == (f"of {names[0]}" if heads == 2 else "")
    assert made.fit([example]).options.choices == num_choices


def test_choices_in_one_cell_can_differ_in_number() -> None:
    assert task().fit([parse(asked())]).options.choices == "auto"


def test_parsing_rows_after_fit_does_not_change_the_fitted_task() -> None:
    made = task()
    swag = made.parse(
        Row({"sent1": "He stands.", "sent2": "He", **ENDINGS, "label": 0}, Origin("f", 1)), SWAG
    )
    fitted = made.fit([swag])
    wide = Columns(("question", "A", "B"), "label", None)
    other = made.parse(Row({"question": "which", "A": "x", "B": "y", "label": "A"}, Origin("g", 1)), wide)
    made.parse(Row(asked(), Origin("g", 2)), COLUMNS)
    assert fitted.options.choices == 4
    assert made.options.choices == "auto"
    assert made.fit([other]).options.choices == 2


def test_a_saved_task_reads_texts_without_column_names() -> None:
    columns = Columns(("goal", "sol1", "sol2"), "label", None)
    row = {"goal": "warm up", "sol1": "run", "sol2": "sit", "label": 0}
    saved = task().fit([parse(row, columns)]).options.model_dump()
    texts = Columns(("0", "1", "2"), None, None)
    found = task(**saved).parse(Row({"0": "warm up", "1": "run", "2": "sit"}, Origin("-", 1)), texts)
    assert (found.question, found.choices) == ("warm up", ("run", "sit"))


@pytest.mark.parametrize(
    ("label", "options", "gold"),
    [
        (0, {}, 0),
        ("2", {}, 2),
        (2.0, {}, 2),
        ("C", {}, 2),
        ("b", {}, 1),
        ("coat", {}, 1),
        (" coat ", {}, 1),
        ("3", {"answers": "number_from_1"}, 2),
        (1, {"answers": "number_from_1"}, 0),
        ("A", {"answers": "letter"}, 0),
    ],
)
def test_an_answer_can_be_a_number_a_letter_or_the_text(
    label: Any, options: dict[str, Any], gold: int
) -> None:
    assert parse(asked(label=label), **options).gold == gold


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"label": "3"},
            r'line 7: the answer "3" is neither .* If the numbers start at 1, set task\.answers=',
        ),
        (
            {"label": "coatt"},
            r'the answer "coatt" is neither the text, .*: hat, coat, bag\. Did you mean "coat"\?',
        ),
        ({"label": -1}, r'the answer "-1" is neither'),
        ({"label": None}, r'line 7: the answer in column "label" is missing'),
        (
            {"choices": ["1", "0"], "label": "1"},
            r"is ambiguous: as number and as text it refers to different choices: 1, 0",
        ),
        ({"choices": ["hat"]}, r"a question needs at least two choices; this one has 1: hat"),
        ({"choices": []}, r"at least two choices; this one has 0"),
        ({"choices": ["hat", " "]}, r"choice 1 \(from 0\) of 2 is empty"),
        (
            {"choices": "hat, coat"},
            r'column "choices" must hold a list of choices, as in .*; got "hat, coat"',
        ),
        ({"choices": [["hat"], "coat"]}, r'column "choices" must hold a list of texts'),
        ({"context": "", "question": " "}, r"line 7: the context and the question are empty"),
    ],
)
def test_an_invalid_question_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        parse(asked(**changes))


def test_an_ambiguous_answer_is_resolved_by_the_option() -> None:
    row = asked(choices=["1", "0"], label="1")
    assert parse(row, answers="number").gold == 1
    assert parse(row, answers="text").gold == 0


def test_too_many_columns_before_the_choices_are_refused() -> None:
    values = dict.fromkeys("abcde", "x")
    with pytest.raises(
        DataError, match=r"there are 3 text columns before the choices \(a, b, c\).*task\.choices"
    ):
        parse(values, Columns(tuple("abcde"), None, None), choices=2)


def test_each_choice_is_a_sequence_after_the_context(tiny_weights: Path) -> None:
    example = Example("1", Origin("f", 1), (), "the lamp", "it was", ("bright", "dull"), 1)
    first, second = task().fitted().encode([example], Tokenizer.pretrained(tiny_weights), None)
    assert decoded(tiny_weights, [example]) == [
        "[CLS] the lamp [SEP] it was bright [SEP]",
        "[CLS] the lamp [SEP] it was dull [SEP]",
    ]
    assert (first.gold, second.gold) == (0.0, 1.0)
    assert first.types.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    ("context", "question", "expected"),
    [
        ("the lamp", "", "[CLS] the lamp [SEP] bright [SEP]"),
        ("", "the lamp", "[CLS] the lamp [SEP] bright [SEP]"),
        ("the lamp", "it was _ .", "[CLS] the lamp [SEP] it was bright. [SEP]"),
        ("the lamp", "it was ___.", "[CLS] the lamp [SEP] it was bright. [SEP]"),
        ("", "it was _ .", "[CLS] it was bright. [SEP]"),
    ],
)
def test_a_gap_is_filled_and_missing_choices_are_omitted(
    tiny_weights: Path, context: str, question: str, expected: str
) -> None:
    example = Example("1", Origin("f", 1), (), context, question, ("bright", "dull"))
    assert decoded(tiny_weights, [example])[0] == expected


def test_only_the_context_is_truncated(tiny_weights: Path) -> None:
    example = Example("1", Origin("f", 1), (), "the lamp " * 20, "it was", ("very bright", "dull"), 0)
    sequences = task().fitted().encode([example], Tokenizer.pretrained(tiny_weights), 16)
    rust = Tokenizer.pretrained(tiny_weights).rust
    texts = [rust.decode(s.ids, skip_special_tokens=False) for s in sequences]
    assert texts[0].endswith("the [SEP] it was very bright [SEP]")
    assert [(len(s), s.num_removed) for s in sequences] == [(16, 31), (16, 30)]


def test_the_loss_equals_cross_entropy_over_the_choices(tiny_weights: Path) -> None:
    examples = [
        Example("1", Origin("f", 1), (), "the lamp", "", ("bright", "dull", "slow"), 2),
        Example("2", Origin("f", 2), (), "the phone", "", ("good", "bad"), 0),
    ]
    fitted = task().fitted()
    batch = collate(fitted.encode(examples, Tokenizer.pretrained(tiny_weights), None))
    logits = torch.tensor([0.3, -2.0, 1.5, 0.1, 0.9])
    loss, count = fitted.loss(logits[:, None], batch)
    expected = cross_entropy(logits[None, :3], torch.tensor([2])) + cross_entropy(
        logits[None, 3:], torch.tensor([0])
    )
    assert (loss.item(), count.item()) == (pytest.approx(expected.item()), 2)


def test_a_prediction_has_the_most_probable_choice_and_all_probabilities() -> None:
    example = Example("1", Origin("f", 1), (), "the lamp", "", ("bright", "dull", "slow"))
    outputs = [np.array([score], np.float32) for score in (-2.0, 1.5, 0.3)]
    found = task().fitted().decode(outputs, [], example)
    assert (found.choice, found.index) == ("dull", 1)
    expected = torch.tensor(np.concatenate(outputs)).double().softmax(0)
    assert found.probabilities == pytest.approx(expected.tolist(), rel=1e-15)


def test_equal_choices_are_interchangeable_and_noted() -> None:
    examples = [
        Example("1", Origin("quiz.json", 4, "question"), ("x",), "x", "", ("five", "six", "five"), 2),
        Example("2", Origin("quiz.json", 5, "question"), ("x",), "x", "", ("five", "six"), 0),
    ]
    made = task().fit(examples)
    assert made.labels == ()
    assert "1 training question has identical choices (first: quiz.json, question 4)" in made.notes[0]
    found = made.score(
        [ChoicePrediction("five", 0, [0.6, 0.1, 0.3]), ChoicePrediction("six", 1, [0.2, 0.8])], examples
    )
    assert found.values == {"accuracy": 0.5, "mrr": 0.75}
    assert found.details["baseline"]["value"] == pytest.approx((1 / 3 + 1 / 2) / 2)
    assert found.details["tables"][0]["rows"][1] == ["3", 1, 1.0, pytest.approx(1 / 3)]


def numbered(count: int) -> list[Any]:
    rows = [{"context": "c", "question": "q", "choices": ["a", "b"], "label": 1}] * count
    return [task().parse(Row(row, Origin("a.jsonl", 1)), COLUMNS) for row in rows]


def test_labels_that_seem_to_start_at_one_are_noted_or_refused() -> None:
    made = task()
    assert made.fit(numbered(10)).notes == (
        "the first choice is never correct in the training questions; if the labels start at 1, set "
        "task.answers=number_from_1",
    )
    expected = r"never correct in the 60 .*task\.answers=number_from_1; otherwise .*number"
    with pytest.raises(DataError, match=expected):
        made.fit(numbered(60))
    assert task(answers="number").fit(numbered(60)).notes == ()


def test_questions_about_the_same_text_stay_in_the_same_split() -> None:
    one, other = parse(asked()), parse(asked(question="wear a"))
    assert task().group_key(one) == task().group_key(other) == "it rains"
    assert task().group_key(parse(asked(context=""))) is None


def test_predicting_one_position_for_all_questions_causes_a_warning() -> None:
    same = [ChoicePrediction("x", 2, [0.1, 0.2, 0.7])] * 12
    fitted = task().fitted()
    assert fitted.warnings(same, [], [])[0].startswith(
        "collapsed: the model predicts choice 2 for every question"
    )
    assert not fitted.warnings([*same, ChoicePrediction("x", 1, [0.1, 0.8, 0.1])], [], [])


def quiz(num: int, seed: int) -> list[dict[str, Any]]:
    """The correct choice repeats the context."""
    draw = np.random.default_rng(seed)
    words = ["great", "dull", "slow", "bright", "weak", "clear"]
    rows = []
    for _ in range(num):
        choices = list(draw.permutation(words)[: draw.integers(2, 5)])
        gold = int(draw.integers(len(choices)))
        rows.append(
            {
                "context": f"the lamp was {choices[gold]}",
                "question": "it was",
                "choices": choices,
                "label": gold,
            }
        )
    return rows


def test_a_file_is_trained_evaluated_and_predicted(tiny_weights: Path, tmp_path: Path) -> None:
    for name, num in (("train", 24), ("dev", 12)):
        lines = [json.dumps(row) for row in quiz(num, num)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines) + "\n")
    train, dev, run = tmp_path / "train.jsonl", tmp_path / "dev.jsonl", tmp_path / "run"
    settings = ("task.name=multiple_choice", f"model.name={tiny_weights}", f"data.validation={dev}", *QUICK)
    bertune("train", train, *settings, "--out", run).fine()
    stored = [
        json.loads(line) for line in (run / "predictions" / "validation.jsonl").read_text().splitlines()
    ]
    scores = bertune("evaluate", run, dev, "--json").fine().json["scores"]["dev"]
    assert scores["accuracy"] == np.mean([line["index"] == line["gold"] for line in stored])
    assert bertune("report", run).fine()
    found = bertune("predict", run, dev).fine().lines
    assert [line["choice"] for line in found] == [line["choice"] for line in stored]
    assert all(line["choices"][line["index"]] == line["choice"] for line in found)
    streamed = bertune("predict", run, "-", stdin=dev.read_text()).fine().lines
    assert [line["index"] for line in streamed] == [line["index"] for line in stored]
    plain = bertune("predict", run, "-", stdin='the lamp was dull\tit was\t["dull", "great"]\n').fine().lines
    assert sum(plain[0]["probabilities"]) == pytest.approx(1)


@pytest.mark.parametrize("label", [["1", "2", "3"], ["1"], 5, None])
def test_the_number_of_choice_names_must_match(label: Any) -> None:
    with pytest.raises(DataError, match=r'"label" for each of the 2 choices'):
        parse(asked(choices={"text": ["hat", "coat"], "label": label}, label="1"))


def test_a_letter_must_be_in_the_alphabet() -> None:
    with pytest.raises(DataError, match='the answer "ß" is neither'):
        parse(asked(choices=["hat", "coat"], label="ß"))


@pytest.mark.parametrize(
    "cell",
    [
        "['hat', 'coat', 'bag']",
        "['hat' 'coat' 'bag']",
        str({"text": np.array(["hat", "coat", "bag"], dtype=object), "label": np.array(list("ABC"))}),
    ],
)
def test_choices_can_be_written_as_python_or_numpy_literals(cell: str) -> None:
    assert parse(asked(choices=cell, label="coat")).choices == ("hat", "coat", "bag")


def test_a_written_tuple_of_texts_holds_the_choices_but_an_interval_is_one_choice() -> None:
    columns = Columns(("question", "choices"), "label", None)
    row = {"question": "which ?", "choices": "('a book', 'a pen')", "label": 1}
    assert parse(row, columns).choices == ("a book", "a pen")
    split = Columns(("question", "choice1", "choice2"), "label", None)
    row = {"question": "where ?", "choice1": "(0, 1)", "choice2": "(2, 3)", "label": 1}
    assert parse(row, split).choices == ("(0, 1)", "(2, 3)")
