"""Delimited files exported from spreadsheets: sep=, trailing delimiters, decimal commas, spaces, UTF-16."""

import json
from pathlib import Path

import pytest

from bertune.config import DataConfig
from bertune.data.columns import ColumnNames, cell_number, choose_columns, pointed_numbers_warning
from bertune.data.memory import table_from_memory
from bertune.data.readers._decimals import decimal_columns, with_point
from bertune.data.tables import Table, open_table
from bertune.errors import DataError


def opened(path: Path, content: str, encoding: str = "utf-8", **options: object) -> Table:
    path.write_bytes(content.encode(encoding))
    return open_table(path, DataConfig.model_validate(options), ("text", "label", "score"))


def cells(table: Table) -> list[tuple[object, ...]]:
    return [tuple(row.values.values()) for row in table.rows()]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"'])
def test_the_sep_directive_is_not_data(tmp_path: Path, first: str, encoding: str) -> None:
    table = opened(tmp_path / "a.csv", f"{first}\r\ntext;label\r\nso, good;1\r\n", encoding)
    assert table.columns == ("text", "label") and cells(table) == [("so, good", "1")]
    assert [row.origin.line for row in table.rows()] == [3], "lines are those of the file"


def test_the_sep_directive_overrides_the_suffix_and_data_delimiter_overrides_both(tmp_path: Path) -> None:
    assert cells(opened(tmp_path / "a.tsv", "sep=|\ntext|label\na|1\n")) == [("a", "1")]
    table = opened(tmp_path / "b.csv", "sep=;\ntext,label\na;b,1\n", delimiter="comma")
    assert cells(table) == [("a;b", "1")]


def test_errors_below_the_sep_directive_give_physical_lines(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 4: expected 2 cells"):
        cells(opened(tmp_path / "a.csv", "sep=;\ntext;label\na;1\nb\n"))
    with pytest.raises(DataError, match=r"b\.csv, line 3: the quote that opens here is never closed"):
        cells(opened(tmp_path / "b.csv", 'sep=;\ntext;label\n"a;1\n'))


@pytest.mark.parametrize(
    "content",
    ["text,label,\na,1,\nb,0,\n", "text,label,,\na,1\nb,0,,\n", "text,label\na,1,\nb,0,,\n"],
)
def test_trailing_delimiters_do_not_add_columns(tmp_path: Path, content: str) -> None:
    table = opened(tmp_path / "a.csv", content)
    assert table.columns == ("text", "label") and cells(table) == [("a", "1"), ("b", "0")]


def test_a_cell_that_is_not_empty_needs_a_column_name(tmp_path: Path) -> None:
    rows = "a,1,\n" * 2000 + "b,0,late\n"
    with pytest.raises(
        DataError, match=r"line 2002: column 2 .* contains 'late', but the header has no name"
    ):
        cells(opened(tmp_path / "a.csv", f"text,label,\n{rows}"))
    with pytest.raises(DataError, match="expected 2 cells as in the first line, found 3"):
        cells(opened(tmp_path / "b.csv", "text,label\na,1\nb,c,0\n"))


def test_empty_rows_are_left_out_at_the_end_only(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", "text;label\na;1\n;\nb;0\n;\n;\n")
    assert cells(table) == [("a", "1"), ("", ""), ("b", "0")]
    assert [row.origin.line for row in table.rows()] == [2, 3, 4]


def test_spaces_between_a_delimiter_and_a_quote_are_ignored(tmp_path: Path) -> None:
    content = 'text, label\n"so, good", "yes"\n"a ""b"", c",  "no, never"\n'
    table = opened(tmp_path / "a.csv", content)
    assert table.columns == ("text", "label")
    assert cells(table) == [("so, good", "yes"), ('a "b", c', "no, never")]
    assert cells(opened(tmp_path / "b.csv", 'text; label\n"a; b"; "c; d"\n')) == [("a; b", "c; d")]


@pytest.mark.parametrize("text", [' "Great" she said', '"he said, ""no"", ok"', "plain"])
def test_quotes_after_a_space_that_do_not_enclose_a_cell_are_unchanged(tmp_path: Path, text: str) -> None:
    (row,) = cells(opened(tmp_path / "a.csv", f"label,text\n1,{text}\n"))
    assert row == ("1", 'he said, "no", ok' if "ok" in text else text)


def test_an_unclosed_quote_after_a_space_is_reported(tmp_path: Path) -> None:
    content = 'text, label\n"a, b", "yes"\n"c", "no\n'
    with pytest.raises(DataError, match=r'line 3: the quote that opens here is never closed: "no'):
        cells(opened(tmp_path / "a.csv", content))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_a_byte_order_mark_determines_the_encoding(tmp_path: Path, encoding: str) -> None:
    table = opened(tmp_path / "a.csv", "text\tlabel\r\nStraße\t很好\r\n", encoding)
    assert cells(table) == [("Straße", "很好")] and "tab-separated" in table.notes[0]
    (tmp_path / "b.jsonl").write_bytes('{"text": "Straße"}\n'.encode(encoding))
    (row,) = open_table(tmp_path / "b.jsonl", DataConfig(), ()).rows()
    assert row.values["text"] == "Straße"


def test_json_formats_are_recognised_in_utf_16(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes('[["Ada sings", {"entities": [[0, 3, "PER"]]}]]'.encode("utf-16"))
    (row,) = open_table(path, DataConfig(), ()).rows()
    assert row.values == {"text": "Ada sings", "spans": [[0, 3, "PER"]]}


def test_a_text_written_as_a_formula_is_that_text(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", 'text,label\na,"=""0010"""\n"=""so ""\n",x\nb,="01"\n')
    assert cells(table) == [("a", "0010"), ('="so "\n', "x"), ("b", "01")]


def test_vertical_bars_are_recognized(tmp_path: Path) -> None:
    assert cells(opened(tmp_path / "a.csv", "text|label\nso, good|1\n")) == [("so, good", "1")]


def scores(table: Table) -> list[float | None]:
    return [cell_number(row, "score") for row in table.rows()]


def test_decimal_commas_are_read_in_columns_that_have_them(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", "text;score\na;3,5\nb;4\nc;-0,25\nd;2,333\ne;1,5e3\n")
    assert scores(table) == [3.5, 4.0, -0.25, 2.333, 1500.0]
    assert scores(opened(tmp_path / "b.csv", 'text,score\na,"3,5"\n')) == [3.5]
    assert scores(opened(tmp_path / "c.csv", "text;score\na;3.5\nb;2.333\nc;good\n")) == [3.5, 2.333, None]


NUMBERS = {
    "1.000,50": [1000.5],
    "1,000.50": [1000.5],
    "-1.234.567,8": [-1234567.8],
    "12,34,567.5": [1234567.5],  # Indian notation
    "1\u202f000,50": [1000.5],  # French, with a narrow no-break space
    "1'000.50": [1000.5],  # Swiss
    "1 000": [1000],
    "\u22122,5|\uff13\uff0c\uff15": [-2.5, 3.5],  # a minus sign; full-width digits and comma
    "3,5|1.000|2,250": [3.5, 1000, 2.25],
    "3.5|1,000|2.250": [3.5, 1000, 2.25],
    "1,000,000|1,000": [1e6, 1000],
    "1.250|2.333": [1.25, 2.333],  # as usual, without a decimal comma in the column
}


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_thousands_separators_are_read_where_the_column_is_unambiguous(
    tmp_path: Path, numbers: str, suffix: str
) -> None:
    path = tmp_path / f"a{suffix}"
    cells = numbers.split("|")
    if suffix == ".csv":
        content = "text;score\n" + "".join(f"a;{cell}\n" for cell in cells)
    else:
        content = "".join(json.dumps({"text": "a", "score": cell}) + "\n" for cell in cells)
    assert scores(opened(path, content)) == NUMBERS[numbers]


@pytest.mark.parametrize(
    ("numbers", "line", "reason"),
    [
        ("1,000|2,000", 2, "is ambiguous: it is 1000 if .* and 1.000 if .* data.decimal=comma"),
        ("3.5|3,5", 3, "has a decimal comma, but the decimal mark of this column is a point"),
        ("3,5|2|1,000.5", 2, "has a decimal comma, but the decimal mark of this column is a point"),
        ("1.000,5|1.5", 2, "has a decimal comma, but the decimal mark of this column is a point"),
    ],
)
def test_a_number_with_ambiguous_separators_is_refused_with_its_line(
    tmp_path: Path, numbers: str, line: int, reason: str
) -> None:
    rows = "".join(f"a;{number}\n" for number in numbers.split("|"))
    with pytest.raises(DataError, match=reason) as caught:
        scores(opened(tmp_path / "a.csv", f"text;score\n{rows}"))
    assert str(caught.value).startswith(f'{tmp_path / "a.csv"}, line {line}: "')
    assert 'in column "score"' in str(caught.value)


def test_a_setting_decides_what_separates_thousands(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", 'text,score\na,"1,000"\nb,"2,500"\n')
    names = ColumnNames((("text",),), ("score",))
    for decimal, expected in (("point", [1000, 2500]), ("comma", [1, 2.5])):
        columns, _ = choose_columns(table, DataConfig(decimal=decimal), names, need_label=True)
        assert [cell_number(row, "score", columns.decimal) for row in table.rows()] == expected


@pytest.mark.parametrize(
    ("content", "number"),
    [
        ("text;score\na;1.234\nb;12.500\n", "1.234"),
        ("text;score\na;950\nb;-2.107\nc;\nd;0\n", "-2.107"),  # a number below 1000 has no point
        ('text,price,score\na,"3,5",1.234\n', "1.234"),
        ("text;score\na;1.234\nb;0.500\n", ""),
        ("text;score\na;1.234\nb;2.5\n", ""),
        ("text;score\na;1.234\nb;1500\n", ""),
        ("text;score\na;1.234\nb;1.234,5\n", ""),  # read as 1234
        ("text;score\na;1.234\nb;n/a\n", ""),
        ("text,score\na,1.234\nb,12.500\n", ""),
    ],
)
def test_points_that_may_separate_thousands_are_reported_with_both_settings(
    tmp_path: Path, content: str, number: str
) -> None:
    table = opened(tmp_path / "a.csv", content)
    columns, _ = choose_columns(table, DataConfig(), ColumnNames((("text",),), ("score",)), need_label=True)
    warning = pointed_numbers_warning(table, columns)
    assert bool(warning) == bool(number)
    if number:
        assert f'in column "score", {number} is read as a number with decimals' in warning
        assert f"data.decimal=comma to read it as {number.replace('.', '')}, or data.decimal=point" in warning
    for decimal in ("comma", "point"):
        columns, _ = choose_columns(
            table, DataConfig(decimal=decimal), ColumnNames((("text",),), ("score",)), need_label=True
        )
        assert not pointed_numbers_warning(table, columns), "the setting decides"


def test_numbers_that_are_not_texts_keep_their_value() -> None:
    table = table_from_memory([{"text": "a", "score": cell} for cell in ("3,5", 1.234, 2, "1.234")])
    assert scores(table) == [3.5, 1.234, 2, 1234]


def test_each_column_has_its_own_convention() -> None:
    records = [["3,5", "3.5", "1,000"], ["4", "4", "x, y"], ["2,250", "1.250", ""]]
    assert decimal_columns(dict(zip("abc", cells, strict=True)) for cells in records) == ({"a"}, {"b"})
    assert with_point("a, b", "comma") == "a, b", "what is not a number is left to who reads it"
