"""Files as other programs export them: fastText, JSON by column, JSON Lines in .json, headers with marks."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import cell_number, choose_columns
from bertune.data.rows import Origin, Row
from bertune.data.tables import Table, open_table
from bertune.errors import DataError
from bertune.tasks import make_task
from bertune.tasks.encoder import known_column_names, read_examples

ROWS = [{"text": "good, really", "label": "a"}, {"text": "bad", "label": "b"}]


def opened(path: Path, content: str, **options: Any) -> Table:
    path.write_text(content, encoding="utf-8", newline="")
    return open_table(path, DataConfig.model_validate(options), ("text", "label"))


def values(path: Path, content: str, **options: Any) -> list[dict[str, Any]]:
    return [dict(row.values) for row in opened(path, content, **options).rows()]


def examples(path: Path, content: str, task: str, **options: Any) -> list[Any]:
    path.write_text(content, encoding="utf-8")
    made = make_task(TaskConfig(name=task, **options))
    table = open_table(path, DataConfig(), known_column_names(made))
    columns, _ = choose_columns(table, DataConfig(), made.columns, made.needs_label)
    return read_examples(table, made, columns)


def test_fasttext_labels_are_separated_from_the_text(tmp_path: Path) -> None:
    content = "__label__a good, really\n\n__label__b __label__c bad\n__label__b\tfine\n__label__d\n"
    assert values(tmp_path / "a.ft.txt", content) == [
        {"label": "a", "text": "good, really"},
        {"label": ["b", "c"], "text": "bad"},
        {"label": "b", "text": "fine"},
        {"label": "d", "text": ""},
    ]
    assert values(tmp_path / "a.txt", "good film __label__a __label__b\nbad __label__b\n") == [
        {"label": ["a", "b"], "text": "good film"},
        {"label": "b", "text": "bad"},
    ]
    assert values(tmp_path / "a.ft", "__label__a x\nno label\n")[1] == {"label": None, "text": "no label"}


def test_a_long_run_of_spaces_in_fasttext_takes_linear_time(tmp_path: Path) -> None:
    """In quadratic time, this test would take minutes."""
    text = f"good {200_000 * ' '} film"
    read = values(tmp_path / "a.ft", f"{text} __label__a  \n{text}\n")
    assert read == [{"label": "a", "text": text}, {"label": None, "text": text}]


def test_settings_of_a_table_override_the_fasttext_format(tmp_path: Path) -> None:
    content = "__label__a\tgood\n__label__b\tbad\n"
    assert values(tmp_path / "a.txt", content, text=["1"], label="0")[0] == {"0": "__label__a", "1": "good"}
    assert values(tmp_path / "a.txt", "a film\n__label__b x\n", text=["0"])[1] == {"0": "__label__b x"}


@pytest.mark.parametrize("orient", ["columns", "index", "split", "table", "records"])
def test_json_of_pandas_is_read_in_every_orient_with_names(orient: Any, tmp_path: Path) -> None:
    content = str(pd.DataFrame(ROWS).to_json(orient=orient))
    read = values(tmp_path / "a.json", content)
    assert [{key: row[key] for key in ("text", "label")} for row in read] == ROWS


def test_json_of_pandas_without_an_index_is_read(tmp_path: Path) -> None:
    content = str(pd.DataFrame(ROWS).to_json(orient="split", index=False))
    assert "index" not in content and values(tmp_path / "a.json", content) == ROWS


def test_json_with_a_list_for_each_column_is_read(tmp_path: Path) -> None:
    columns = {"text": ["good, really", "bad"], "label": ["a", "b"]}
    assert values(tmp_path / "a.json", json.dumps(columns, indent=1)) == ROWS
    with pytest.raises(DataError, match=r"expected a list of objects, .* found an object"):
        opened(tmp_path / "b.json", json.dumps(columns | {"label": ["a"]}))


def test_json_lines_are_recognized_in_a_json_file(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.json", "\n".join(map(json.dumps, ROWS)) + "\n\n")
    assert [dict(row.values) for row in table.rows()] == ROWS
    assert [row.origin.line for row in table.rows()] == [1, 2]
    assert values(tmp_path / "b.json", '[{"text": "a"},\n{"text": "b"}]') == [{"text": "a"}, {"text": "b"}]
    with pytest.raises(DataError, match=r"line 1: .*found a list\. If the whole file .* data\.reader=json"):
        opened(tmp_path / "a.jsonl", json.dumps(ROWS))


@pytest.mark.parametrize("suffix", [".txt", ".tsv"])
@pytest.mark.parametrize("sign", [",", ";", "|"])
def test_a_header_of_known_names_shows_the_delimiter_of_a_file_without_tabs(
    sign: str, suffix: str, tmp_path: Path
) -> None:
    content = (
        f"text,label\n{'good, really' if sign != ',' else chr(34) + 'good, really' + chr(34)},a\nbad,b\n"
    )
    lines = [line[::-1].replace(",", sign, 1)[::-1] for line in content.splitlines()]
    assert values(tmp_path / f"a{suffix}", "\n".join(lines)) == ROWS
    plain = opened(tmp_path / f"b{suffix}", f"a text{sign} long\nb{sign} c\n")
    assert plain.columns == ("0",), "texts are not a table"


def test_invisible_characters_are_not_part_of_column_names(tmp_path: Path) -> None:
    content = '\ufeff\ufeff\u200btext\u200b,\u00a0label\n"good, really",a\nbad,b\n'
    assert values(tmp_path / "a.csv", content) == ROWS


def test_a_label_column_set_in_the_task_identifies_the_header(tmp_path: Path) -> None:
    content = "sentence_text,toxic,rude\nx y,1,0\n"
    with pytest.raises(DataError, match=r'toxic = "1"[^:]*: [^:]*: data\.text=sentence_text$'):
        examples(tmp_path / "a.csv", content, "multilabel", columns="toxic,rude")


def test_the_suggested_columns_leave_out_a_known_label_and_include_all_choices(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"for example: data\.text=data$"):
        examples(tmp_path / "a.csv", "id,data,label,note\n1,a text,x,\n", "classification")
    with pytest.raises(DataError, match=r"for example: data\.text=ask,x1,x2,x3$"):
        examples(tmp_path / "a.csv", "ask,x1,x2,x3,answer\nwhy?,a,b,c,B\n", "multiple_choice")


@pytest.mark.parametrize("answer", ["B", "(b)", "B)", "b.", "1", "so"])
def test_choices_in_lettered_columns_are_read(answer: str, tmp_path: Path) -> None:
    content = f"question,A,B,C,D,answer\nwhy?,no,so,if,as,{answer}\n"
    (example,) = examples(tmp_path / "a.csv", content, "multiple_choice")
    assert example.question == "why?"
    assert example.choices == ("no", "so", "if", "as") and example.gold == 1


def test_a_context_next_to_lettered_columns_is_used_and_an_answer_may_name_its_column(tmp_path: Path) -> None:
    content = (
        "context,question,option_a,option_b,option_c,option_d,answer\nit rains,why?,no,so,if,as,option_c\n"
    )
    (example,) = examples(tmp_path / "a.csv", content, "multiple_choice")
    assert example.context == "it rains" and example.gold == 2


def test_a_raised_digit_is_not_part_of_a_number() -> None:
    row = Row({"score": "5²", "other": "３．５"}, Origin("a.csv", 2))
    assert cell_number(row, "score") is None
    assert cell_number(row, "other") == 3.5
