"""Question answering: reading answers, finding them in contexts, and everything from a file to answers."""

import json
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bertune import api
from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.data.tables import open_table
from bertune.errors import DataError
from bertune.nn.batch import collate
from bertune.tasks import make_task
from bertune.tasks.encoder import read_examples
from bertune.tasks.question_answering.task import Example, QuestionAnswering
from bertune.text.tokenizer import Tokenizer
from small_texts import GOOD, PLAIN
from tiny import bertune

DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")

COLUMNS = Columns(("question", "context"), "answers", None)
CONTEXT = "the lamp is on the table , the phone is in the box"


def task(**options: Any) -> QuestionAnswering:
    made = make_task(TaskConfig(name="question_answering", **options))
    assert isinstance(made, QuestionAnswering)
    return made


def answer(text: str, start: int) -> dict[str, Any]:
    return {"text": text, "answer_start": start}


def row(answers: Any, question: str = "on the lamp ?", context: str = CONTEXT, **more: Any) -> Row:
    values = {"id": "q7", "question": question, "context": context, "answers": answers} | more
    return Row(values, Origin("dev.json", 3, "question"))


def parse(answers: Any, **values: Any) -> Example:
    return task().parse(row(answers, **values), COLUMNS)


def long_context(num: int, seed: int = 1) -> str:
    return " ".join(random.Random(seed).choices(PLAIN, k=num))


@pytest.fixture(scope="module")
def tokenizer(tiny_weights: Path) -> Tokenizer:
    return Tokenizer.pretrained(tiny_weights)


# Reading


@pytest.mark.parametrize(
    "answers",
    [
        [answer("the table", 15), answer("table", 19)],
        {"text": ["the table", "table"], "answer_start": [15, 19]},
        {"text": np.array(["the table", "table"]), "answer_start": np.array([15, 19])},
    ],
    ids=["squad", "hugging face", "arrays"],
)
def test_answers_are_read_in_both_formats(answers: Any) -> None:
    found = parse(answers)
    assert found.id == "q7"
    assert found.gold == (answer("the table", 15), answer("table", 19))
    assert json.loads(json.dumps(found.gold)) == list(found.gold)


@pytest.mark.parametrize("answers", [[], {"text": [], "answer_start": []}])
def test_a_question_can_be_unanswerable(answers: Any) -> None:
    assert parse(answers).gold == ()
    assert parse(answers, is_impossible=True).gold == ()
    assert parse([answer("", -1)], is_impossible=True).gold == ()


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"answers": None}, r'column "answers" is empty.*Write \[\] if the question.*predicted'),
        ({"answers": [7]}, r"must be \[.*got \[7\]"),
        ({"answers": [{"answer_start": 3}]}, "an answer must be"),
        ({"answers": [answer("the table", "15")]}, "must have a text and"),  # type: ignore[arg-type]
        ({"answers": {"text": ["a"], "answer_start": []}}, "two lists of the same length"),
        ({"answers": [answer("", 0)]}, "an answer has an empty text.*predicted but not scored"),
        ({"answers": [answer("the", 0)], "is_impossible": True}, 'the question has the answer "the"'),
        ({"answers": [], "is_impossible": False}, "the question has no answer"),
        ({"answers": [], "is_impossible": None}, 'nor "is_impossible": true'),
        ({"answers": [], "is_impossible": "perhaps"}, "must be true or false"),
        ({"answers": [answer("the", 99)]}, 'the answer "the" at 99 ends after the context'),
        ({"answers": [], "question": " "}, "the question is empty"),
        ({"answers": [], "context": ""}, "the context is empty"),
    ],
)
def test_invalid_questions_are_refused_with_file_and_id(values: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=rf'dev\.json, question 3 \(id "q7"\): .*{message}'):
        parse(**values)


@pytest.mark.parametrize(
    ("start", "expected"),
    [(0, 0), (1, 0), (14, 15), (16, 15), (22, 27), (-1, 0)],
)
def test_a_wrong_offset_is_corrected_to_the_nearest_occurrence(start: int, expected: int) -> None:
    found = parse([answer("the", start)])
    assert found.gold == (answer("the", expected),)
    assert found.num_moved == (start != expected)


def test_moved_and_absent_answers_are_noted_once_with_the_first_example() -> None:
    made = task()
    examples = [
        parse([answer("the table", 15)]),
        parse([answer("table", 15)]),
        parse([answer("a table", 15), answer("lamp", 4)]),
        parse([]),
    ]
    fitted = made.fit(examples)
    assert fitted.labels == ("answer", "no answer")
    moved, absent, without = fitted.notes
    assert moved.startswith("1 answer is not at its answer_start") and 'question 3 (id "q7")' in moved
    assert absent.startswith("1 question has answers that do not occur")
    assert without.startswith("1 training question has no answer")
    sound = made.fit(examples[:1])
    assert sound.labels == ("answer",) and not sound.notes
    assert len(fitted.notes) == 3  # fitting again does not affect the earlier fit


def test_invalid_answers_are_refused_only_in_training(tokenizer: Tokenizer) -> None:
    made = task()
    absent, good = parse([answer("a table", 15)]), parse([answer("the table", 15)])
    with pytest.raises(DataError, match=r'\(id "q7"\): the answer "a table" does not occur in the context'):
        made.fit([good, absent])
    with pytest.raises(DataError, match="none of the 2 questions has an answer"):
        made.fit([parse([])] * 2)
    outputs = torch.randn(100, 2)
    fitted = made.fitted(("answer",))
    pair, alone = (fitted.encode(examples, tokenizer, None) for examples in ([good, absent], [good]))
    two, one = (fitted.loss(outputs[: sum(map(len, found))], collate(found)) for found in (pair, alone))
    assert torch.equal(two[0], one[0]) and int(two[1]) == int(one[1]) == 1


# End to end


def telling_context(draw: random.Random) -> tuple[str, str]:
    """A context of several windows, and the only word in it that is the answer."""
    telling = draw.choice(GOOD)
    return " ".join([*draw.choices(PLAIN, k=30), telling, *draw.choices(PLAIN, k=20)]), telling


@pytest.fixture(scope="module")
def squad(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty contexts with a question each; half of them also have a question without an answer."""
    draw = random.Random(8)
    paragraphs = []
    for number in range(40):
        context, telling = telling_context(draw)
        gold = [answer(telling, context.index(telling))]
        asked = {"id": f"q{number}", "question": "is it on ?", "answers": gold, "is_impossible": False}
        more = {"id": f"n{number}", "question": "no shop ?", "answers": [], "is_impossible": True}
        paragraphs.append({"context": context, "qas": [asked, more] if number % 2 else [asked]})
    path = tmp_path_factory.mktemp("squad") / "train.json"
    path.write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    return path


@pytest.fixture(scope="module")
def run(squad: Path, tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "qa"
    bertune(
        "train", squad, "task.name=question_answering", "task.stride=8", f"model.name={tiny_weights}",
        "model.max_length=40",
        "train.epochs=12", "train.lr=0.003", "train.batch_size=8", "model.dropout=0", "machine.threads=1",
        "machine.device=cpu", "--out", out,
    ).fine()  # fmt: skip
    return out


def test_training_on_a_nested_file_learns_and_keeps_paragraphs_in_one_split(run: Path, squad: Path) -> None:
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["labels"] == ["answer", "no answer"]
    assert manifest["data"]["splits"]["train"]["labels"].keys() == {"answer", "no answer"}
    assert manifest["max_length"]["value"] == 40
    held_out = [
        json.loads(line) for line in (run / "predictions" / "validation.jsonl").read_text().splitlines()
    ]
    ids = {line["id"][1:] for line in held_out}
    asked = [row.values["id"] for row in open_table(squad, DataConfig(), ()).rows()]
    assert {line["id"] for line in held_out} == {id for id in asked if id[1:] in ids}
    assert manifest["scores"]["validation"]["f1"] > 0.8


def test_a_trained_model_answers_pairs_files_and_lines(run: Path, squad: Path) -> None:
    context, telling = telling_context(random.Random(9))
    model = api.load(run)
    (alone,) = api.predict(model, [("is it on ?", context)])
    assert (alone.answer, context[alone.start : alone.end]) == (telling, telling)
    (line,) = (
        bertune("predict", run, "-", stdin=json.dumps({"question": "is it on ?", "context": context}) + "\n")
        .fine()
        .lines
    )
    assert (line["answer"], line["start"]) == (alone.answer, alone.start)
    lines = bertune("predict", run, squad).fine().lines
    assert len(lines) == 60 and {"id", "question", "answers", "answer", "n_best"} <= lines[0].keys()
    assert api.evaluate(model, squad).scores["has_answer_f1"] > 0.8


@needs_data
@pytest.mark.parametrize(
    ("name", "moved", "absent"),
    [("cmrc2018_dev", 7, 193), ("squad2_half_dev/dev-v2.0.cs224n", 0, 0), ("xquad/xquad.zh", 0, 0)],
)
def test_published_answers_are_found_in_their_contexts(name: str, moved: int, absent: int) -> None:
    path = Path(DATA or "") / (f"cmrc2018/{name}.json" if "/" not in name else f"{name}.json")
    examples = read_examples(open_table(path, DataConfig(), ()), task(), COLUMNS)
    assert sum(e.num_moved for e in examples) == moved
    starts = [a["answer_start"] for e in examples for a in e.gold]
    assert sum(start < 0 for start in starts) == absent
    fitted = task().fit(examples)  # every question has an answer that can be learned
    assert ("answers that do not" in "".join(fitted.notes)) == any(
        a["answer_start"] < 0 for e in examples for a in e.gold
    )


@needs_data
@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "tydiqa_en/tydiqa.goldp.en.dev.json",
            r"question 1 \(id .*an answer has an empty text.*predicted but not scored",
        ),
        ("cmrc2018/cmrc2018_trial.json", r'question \d+ \(id "TRIAL_\d+_QUERY_\d"\): the question is empty'),
    ],
)
def test_published_files_that_cannot_be_scored_name_the_question(name: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_examples(open_table(Path(DATA or "") / name, DataConfig(), ()), task(), COLUMNS)
