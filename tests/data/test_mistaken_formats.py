"""Files whose content differs from their suffix, and tables on standard input."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.tables import Table, open_lines, open_table
from bertune.errors import DataError

ROWS = [{"text": "good, really", "label": "a"}, {"text": 'a "bad" one', "label": "b"}]
LINES = "".join(f"{json.dumps(row)}\n" for row in ROWS)


def opened(path: Path, content: str, **options: Any) -> Table:
    path.write_text(content, encoding="utf-8")
    return open_table(path, DataConfig.model_validate(options), ("text", "label"), likely_header=True)


@pytest.mark.parametrize("name", ["a.txt", "a.csv", "a.tsv"])
@pytest.mark.parametrize(
    ("content", "reader"),
    [
        (LINES, "jsonl"),
        (f"\n{LINES.splitlines()[0]}", "jsonl"),
        (json.dumps(ROWS), "json"),
        (json.dumps({"data": ROWS}, indent=1), "json"),
    ],
)
def test_json_is_read_as_json_whatever_the_suffix(
    tmp_path: Path, name: str, content: str, reader: str
) -> None:
    table = opened(tmp_path / name, content)
    rows = [dict(row.values) for row in table.rows()]
    assert rows == ROWS[: len(rows)] and len(rows) == max(1, content.count('"label"'))
    assert table.notes == (f"{table.name}: contains JSON and is read with data.reader={reader}",)


def test_json_in_a_file_with_an_unknown_suffix_is_read_as_json(tmp_path: Path) -> None:
    (tmp_path / "test.gold").write_text(LINES, encoding="utf-8")
    table = open_table(tmp_path / "test.gold", DataConfig(), ("text",), like=".csv")
    assert [dict(row.values) for row in table.rows()] == ROWS


@pytest.mark.parametrize("content", ["{so} it\n{x} y\n", "[1] first\n[2] second\n", '["a"]\nb\n', "{}\n"])
def test_texts_in_brackets_are_texts(tmp_path: Path, content: str) -> None:
    table = opened(tmp_path / "a.txt", content)
    assert [row.values["0"] for row in table.rows()] == content.splitlines()


def test_a_reader_that_is_set_reads_json_as_text(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.txt", LINES, reader="delimited")
    assert [row.values["0"] for row in table.rows()] == LINES.splitlines()


@pytest.mark.parametrize(
    "content",
    [
        '"text,label"\n"good,a"\n"bad,b"\n',
        '"text,""label"""\n"good,""a"""\n',
        '"id;text"\n"1;good"\n',
    ],
)
def test_lines_enclosed_in_quotes_as_a_whole_are_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"line 1: the whole line is enclosed in quotes, .*Remove the outer"):
        opened(tmp_path / "a.csv", content)


def test_texts_with_commas_below_a_header_are_texts(tmp_path: Path) -> None:
    assert opened(tmp_path / "a.csv", 'text\n"good, really"\n"bad, b"\n').columns == ("text",)
    assert opened(tmp_path / "b.csv", '"so, so"\n"good, b"\n').columns == ("0",)


@pytest.mark.parametrize("first", ["text", "Text", "text,label", '"id";"text"', "body\tLABEL", "text|id"])
def test_the_header_of_a_table_on_standard_input_is_not_a_text(first: str) -> None:
    stream = io.StringIO(f"\n{first}\nso,good\n")
    with pytest.raises(DataError, match=r"<stdin>, line 2: .* looks like the header of a table\. .*tail -n"):
        open_lines(stream, "<stdin>", ("text",), ("text", "body", "label", "id"))


@pytest.mark.parametrize("first", ["texts", "the text, the label", "text, so to speak", "good, bad"])
def test_a_first_text_on_standard_input_is_a_text(first: str) -> None:
    table = open_lines(io.StringIO(f"{first}\n"), "<stdin>", ("text",), ("text", "body", "label"))
    assert [row.values["text"] for row in table.rows()] == [first]
