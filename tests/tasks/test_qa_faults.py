"""Faults in published question files: errors that say what to do, or warnings with a count."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import DataError
from bertune.tasks import make_task
from bertune.tasks.question_answering.task import Example, QuestionAnswering
from tiny import QUICK, bertune

DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")

CONTEXT = "the lamp is on the table , the phone is in the box"

BLANK, ABSENT, SOUND = "blank", "absent", "sound"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder as the current directory of commands."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def asked(kind: str, number: int) -> dict[str, Any]:
    text = "the sky" if kind == ABSENT else "the table"
    return {
        "id": f"{kind}{number}",
        "question": " " if kind == BLANK else "on the lamp ?",
        "answers": [{"text": text, "answer_start": 15}],
    }


def task(**options: Any) -> QuestionAnswering:
    made = make_task(TaskConfig(name="question_answering", **options))
    assert isinstance(made, QuestionAnswering)
    return made


def parsed(made: QuestionAnswering, kind: str, number: int = 1) -> Example:
    row = Row({**asked(kind, number), "context": CONTEXT}, Origin("dev.json", number, "question"))
    return made.parse(row, Columns(("question", "context"), "answers", None))


def test_errors_about_invalid_examples_name_the_setting() -> None:
    with pytest.raises(
        DataError, match=r'\(id "blank1"\): the question is empty.*task\.invalid_examples=count'
    ):
        parsed(task(), BLANK)
    made = task()
    with pytest.raises(DataError, match=r'absent1"\): the answer "the sky".*task\.invalid_examples=count'):
        made.fit([parsed(made, SOUND), parsed(made, ABSENT)])
    with pytest.raises(DataError, match=r'absent1"\): the answer "the sky".*task\.invalid_examples=count'):
        made.fitted(("answer",)).for_scoring([parsed(made, SOUND), parsed(made, ABSENT)])
    counting = task(invalid_examples="count").fitted(("answer",))
    assert counting.for_scoring([parsed(made, SOUND), parsed(made, ABSENT)]) is counting


def test_an_empty_context_is_always_refused() -> None:
    row = Row({**asked(SOUND, 1), "context": " "}, Origin("dev.json", 1, "question"))
    with pytest.raises(DataError, match=r"the context is empty\. Fill it in or remove the question$"):
        task(invalid_examples="count").parse(row, Columns(("question", "context"), "answers", None))


def test_counted_invalid_examples_are_noted_and_not_trained_on() -> None:
    made = task(invalid_examples="count")
    examples = [parsed(made, kind, n) for n, kind in enumerate((SOUND, BLANK, ABSENT, SOUND))]
    fitted = made.fit(examples)
    assert fitted.labels == ("answer",)
    (note,) = fitted.notes
    assert note.startswith("2 of 4 training questions") and note.endswith(": blank1, absent2")
    assert fitted.group_training_examples(examples) == [[0], [3]]
    assert fitted.group_training_examples([examples[0], examples[3]]) is None


def test_data_with_only_invalid_questions_is_refused() -> None:
    made = task(invalid_examples="count")
    with pytest.raises(DataError, match="none of the 2 questions has an answer"):
        made.fit([parsed(made, BLANK), parsed(made, ABSENT)])


def test_a_file_with_invalid_examples_trains_and_all_questions_are_scored(
    here: Path, tiny_weights: Path
) -> None:
    kinds = [SOUND] * 12 + [BLANK, ABSENT]
    questions = [asked(kind, number) for number, kind in enumerate(kinds)]
    paragraphs = [{"context": f"{CONTEXT} {question['id']}", "qas": [question]} for question in questions]
    for name in ("train.json", "dev.json"):
        Path(name).write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}), encoding="utf-8")
    files = ("train.json", "data.validation=dev.json", f"model.name={tiny_weights}", "model.max_length=40")
    refused = bertune("train", *files, "task.name=question_answering", *QUICK, "--out", "run")
    assert refused.code == 3 and 'question 13 (id "blank12")' in refused.err
    trained = bertune(
        "train", *files, "task.name=question_answering", "task.invalid_examples=count", *QUICK, "--out", "run"
    ).fine()
    assert "2 of 14 training questions" in trained.err and "blank12, absent13" in trained.err
    predictions = Path("run/predictions/validation.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["id"] for line in predictions] == [question["id"] for question in questions]
    manifest = json.loads(Path("run/manifest.json").read_text(encoding="utf-8"))
    assert manifest["data"]["splits"]["train"]["rows"] == 14


@needs_data
def test_the_published_trial_file_of_cmrc2018_trains(here: Path) -> None:
    trial = f"{DATA}/cmrc2018/cmrc2018_trial.json"
    files = (f"data.train={trial}", f"data.validation={trial}", f"data.test={trial}")
    checked = bertune("check", "cmrc2018", *files, "model.name=minilm", "train.max_examples=1002")
    assert "2 of 1,002 training questions" in checked.fine().err + checked.out
    assert "TRIAL_776_QUERY_4, TRIAL_20_QUERY_0" in checked.err + checked.out
