"""Question answering from flat tables: answers as text in cells, with or without offsets."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import choose_columns
from bertune.data.tables import open_table
from bertune.errors import DataError
from bertune.tasks import make_task
from bertune.tasks.encoder import known_column_names, read_examples
from tiny import QUICK, bertune

CONTEXT = "the lamp is on the table , the phone is in the box"
LAMP = ({"text": "the table", "answer_start": 15},)
BOX = ({"text": "box", "answer_start": 47},)
SQUAD = [{"text": ["the table"], "answer_start": [15]}, {"text": ["box"], "answer_start": [47]}]
EMPTY: dict[str, list[Any]] = {"text": [], "answer_start": []}


def arrays(answers: dict[str, list[Any]]) -> dict[str, Any]:
    """Answers in the form in which pandas reads them from Parquet."""
    starts = np.array(answers["answer_start"], np.int32)
    return {"text": np.array(answers["text"], dtype=object), "answer_start": starts}


def listed(answers: dict[str, list[Any]]) -> list[dict[str, Any]]:
    pairs = zip(answers["text"], answers["answer_start"], strict=True)
    return [{"text": text, "answer_start": start} for text, start in pairs]


def read(folder: Path, columns: dict[str, list[Any]], **options: Any) -> list[Any]:
    """The examples of a CSV file written by pandas, with inferred columns."""
    file = folder / "qa.csv"
    num = len(next(iter(columns.values())))
    frame = pd.DataFrame({"question": ["where ?"] * num, "context": [CONTEXT] * num, **columns})
    frame.to_csv(file, index=False)
    return examples_of(file, **options)


def examples_of(file: Path, **options: Any) -> list[Any]:
    task = make_task(TaskConfig(name="question_answering", **options))
    table = open_table(file, DataConfig(), known_column_names(task))
    chosen, _ = choose_columns(table, DataConfig(), task.columns, need_label=True)
    return read_examples(table, task, chosen)


@pytest.mark.parametrize(
    "write",
    [json.dumps, str, lambda a: str(arrays(a)), lambda a: json.dumps(listed(a)), listed],
    ids=["json", "python", "numpy", "json list", "python list"],
)
def test_answers_written_in_a_cell_are_read(write: Any, tmp_path: Path) -> None:
    cells = [write(answers) for answers in (*SQUAD, EMPTY)]
    assert [e.gold for e in read(tmp_path, {"answers": cells})] == [LAMP, BOX, ()]


@pytest.mark.parametrize(
    "columns",
    [
        {"answer_text": ["the table", "box"], "answer_start": [15, 47]},
        {"answer": ["the table", "box"], "start": [15, 47.0]},
        {"answers": ["['the table']", "['box']"], "answer_start": ["[15]", "[47]"]},
        {"answer": ["the table", "box"]},
        {"answers": [["the table"], ["box"]]},
        {"answer_text": ["the table", "box"], "answer_start": [15, None]},
    ],
)
def test_answer_texts_are_found_with_and_without_offsets(
    columns: dict[str, list[Any]], tmp_path: Path
) -> None:
    found = read(tmp_path, columns)
    assert [e.gold for e in found] == [LAMP, BOX]
    assert sum(e.num_moved for e in found) == 0


def test_unanswerable_questions_in_flat_columns(tmp_path: Path) -> None:
    said: dict[str, list[Any]] = {
        "answer_text": ["box", None],
        "answer_start": [47, None],
        "is_impossible": [False, True],
    }
    assert [e.gold for e in read(tmp_path, said)] == [BOX, ()]
    assert [e.gold for e in read(tmp_path, {"answer": ["box", None], "answer_start": [47, -1]})] == [BOX, ()]
    with pytest.raises(DataError, match=r'line 3: column "answer" is empty\. Expected .* Write \[\] if'):
        read(tmp_path, {"answer": ["box", None]})


def test_answers_in_json_lines_are_read_as_published_on_the_hub(tmp_path: Path) -> None:
    file = tmp_path / "squad.jsonl"
    rows = [{"question": "where ?", "context": CONTEXT, "answers": answers} for answers in SQUAD]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert [e.gold for e in examples_of(file)] == [LAMP, BOX]


def test_an_ambiguous_answer_without_offset_is_refused_or_counted(tmp_path: Path) -> None:
    columns = {"answer": ["box", "the"]}
    with pytest.raises(DataError, match=r'line 3: the answer "the" occurs 4 times .*invalid_examples=count'):
        read(tmp_path, columns)
    counted = read(tmp_path, columns, invalid_examples="count")
    assert counted[1].gold == ({"text": "the", "answer_start": -1},)
    fitted = make_task(TaskConfig(name="question_answering", invalid_examples="count")).fit(counted)
    assert fitted.notes[0].startswith("1 of 2 training questions")
    assert read(tmp_path, {"answer": ["['the', 'box']"]})[0].gold[1] == BOX[0], "another answer is plain"


def test_absent_answers_and_wrong_offsets_are_named_with_the_row(tmp_path: Path) -> None:
    examples = read(tmp_path, {"answer": ["box", "the sky"]})
    with pytest.raises(DataError, match=r'line 3: the answer "the sky" does not occur in the context'):
        make_task(TaskConfig(name="question_answering")).fit(examples)
    with pytest.raises(DataError, match=r'line 2: "answer_start" must be an integer.* got \'early\''):
        read(tmp_path, {"answer": ["box"], "answer_start": ["early"]})
    with pytest.raises(DataError, match=r"line 2: .*must be a list of 2 integers"):
        read(tmp_path, {"answers": ["['box', 'lamp']"], "answer_start": ["[47]"]})
    with pytest.raises(DataError, match=r'line 2: column "answers" begins like a list .*Expected \[\{"text"'):
        read(tmp_path, {"answers": ["{'text': ['box'"]})


def test_a_flat_file_trains_and_evaluates(tiny_weights: Path, tmp_path: Path) -> None:
    file = tmp_path / "train.csv"
    context = [f"{CONTEXT} and number {number}" for number in range(12)]
    frame = pd.DataFrame({"question": "where is it ?", "context": context, "answer": "the table"})
    frame.to_csv(file, index=False)
    run = tmp_path / "run"
    trained = bertune(
        "train", file, "task.name=qa", f"model.name={tiny_weights}", "model.max_length=48", *QUICK,
        "--out", run,
    ).fine()  # fmt: skip
    assert 'label column: "answer"' in trained.err
    assert bertune("evaluate", run, file, "--json").fine().json["examples"] == 12


def test_columns_of_a_flattened_object_are_the_answers(tmp_path: Path) -> None:
    columns = {f"answers.{key}": [answers[key] for answers in (*SQUAD, EMPTY)] for key in EMPTY}
    assert [e.gold for e in read(tmp_path, columns)] == [LAMP, BOX, ()]
