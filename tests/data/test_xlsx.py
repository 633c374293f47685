"""Excel workbooks: sheets, headers, values of cells, and files that are not workbooks."""

import datetime
import gzip
import sys
import zipfile
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from bertune.config import DataConfig
from bertune.data.columns import cell_text
from bertune.data.tables import Table, open_table
from bertune.errors import ConfigError, DataError, MissingPackageError


def saved(path: Path, **sheets: list[list[Any]]) -> Path:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for title, rows in sheets.items():
        sheet = book.create_sheet(title)
        for row in rows:
            sheet.append(row)
    book.save(path)
    return path


def opened(path: Path, **options: object) -> Table:
    return open_table(path, DataConfig.model_validate(options), ("text", "label"))


def texts(table: Table) -> list[list[str]]:
    return [[cell_text(row, column) for column in table.columns] for row in table.rows()]


def test_cells_are_read_as_a_spreadsheet_shows_them(tmp_path: Path) -> None:
    noon = datetime.datetime(2024, 1, 5, 12, 30)
    rows = [
        ["text", "label", "when"],
        ["a", 1.0, datetime.datetime(2024, 1, 5)],
        [" b ", 2.5, noon],
        ["c", True, None],
    ]
    table = opened(saved(tmp_path / "a.xlsx", Sheet=rows))
    assert table.columns == ("text", "label", "when") and table.has_header
    assert texts(table) == [
        ["a", "1", "2024-01-05"],
        [" b ", "2.5", "2024-01-05 12:30:00"],
        ["c", "true", ""],
    ]
    assert str(next(table.rows()).origin).endswith("a.xlsx, row 2")
    assert table.notes == (f'{table.name}: sheet "Sheet", header',)


def test_the_only_sheet_with_known_columns_is_read_unless_it_is_the_first(tmp_path: Path) -> None:
    info, rows = [["About"], ["read me"]], [["text", "label"], ["a", "1"]]
    table = opened(saved(tmp_path / "a.xlsx", Info=info, Data=rows))
    assert texts(table) == [["a", "1"]] and 'sheet "Data" (of 2: Info, Data), header' in table.notes[0]
    assert texts(opened(tmp_path / "a.xlsx", sheet="Info")) == [["About"], ["read me"]]
    two = saved(tmp_path / "b.xlsx", Info=info, Data=rows, More=rows)
    assert texts(opened(two)) == [["About"], ["read me"]], "two other sheets have these columns"
    assert texts(opened(saved(tmp_path / "c.xlsx", A=rows, B=rows))) == [["a", "1"]]


@pytest.mark.parametrize("suffix", [".xlsx", ".csv"])
def test_a_title_above_the_header_is_an_error(tmp_path: Path, suffix: str) -> None:
    path, rows = tmp_path / f"a{suffix}", [["Survey", ""], ["text", "label"], ["a", "1"]]
    if suffix == ".xlsx":
        saved(path, Sheet=rows)
    else:
        path.write_text("".join(f"{';'.join(row)}\n" for row in rows), encoding="utf-8")
    with pytest.raises(
        DataError, match=r"the header \(text, label\) is below other rows, .*Remove the rows above"
    ):
        opened(path)
    assert len(texts(opened(path, header=False))) == 3


def test_empty_rows_and_formatted_cells_without_values_are_left_out(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["text", "label", None], ["a", 1], [None, None], ["b", 0]):
        book.active.append(row)
    for at in (40, 900):
        book.active.cell(row=at, column=5).font = openpyxl.styles.Font(bold=True)
    book.save(tmp_path / "a.xlsx")
    table = opened(tmp_path / "a.xlsx")
    assert [(row.origin.line, dict(row.values)) for row in table.rows()] == [
        (2, {"text": "a", "label": 1}),
        (4, {"text": "b", "label": 0}),
    ]


def test_the_first_visible_sheet_is_read_unless_another_is_named(tmp_path: Path) -> None:
    path = saved(
        tmp_path / "a.xlsx", Hidden=[["x"], [1]], Reviews=[["text"], ["good"]], More=[["text"], ["bad"]]
    )
    book = openpyxl.load_workbook(path)
    book["Hidden"].sheet_state = "hidden"
    book.save(path)
    assert texts(opened(path)) == [["good"]]
    assert opened(path).notes == (f'{path}: sheet "Reviews" (of 3: Hidden, Reviews, More), header',)
    assert texts(opened(path, sheet="more")) == [["bad"]]
    with pytest.raises(ConfigError, match=r'no sheet "Revews".*Did you mean "Reviews".*"Hidden"'):
        opened(path, sheet="Revews")


def test_a_sheet_without_a_known_header_has_numbered_columns(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", Sheet=[["good", 1], ["bad", None, "more"]])
    table = opened(path)
    assert table.columns == ("0", "1", "2") and texts(table) == [["good", "1", ""], ["bad", "", "more"]]


def test_a_cell_below_no_name_is_refused_with_its_row(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", Sheet=[["text", "label"], ["a", 1, "x"]])
    with pytest.raises(DataError, match=r"a\.xlsx, row 1: the header has no name for column 2"):
        opened(path)


def test_formulas_count_as_their_stored_values_and_missing_ones_are_noted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", Sheet=[["text", "label"], ["a", "=1+1"], ["b", "=1+2"]])
    table = opened(path)
    assert texts(table) == [["a", ""], ["b", ""]]
    assert "the formulas in column B have no stored values" in table.notes[1]
    stored = tmp_path / "b.xlsx"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(stored, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            for value, formula in ((b"2", b"1+1"), (b"3", b"1+2")):
                empty = b"<f>" + formula + b"</f><v></v>"
                filled = b"<f>" + formula + b"</f><v>" + value + b"</v>"
                content = content.replace(empty, filled).replace(empty.replace(b"<v></v>", b"<v />"), filled)
            new.writestr(name, content)
    table = opened(stored)
    assert texts(table) == [["a", "2"], ["b", "3"]] and len(table.notes) == 1


def test_an_error_value_in_a_cell_is_refused(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", Sheet=[["text", "label"], ["a", "#N/A"]])
    assert texts(opened(path)) == [["a", ""]]


def test_a_compressed_workbook_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", Sheet=[["text"], ["good"]])
    packed = tmp_path / "b.xlsx.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert texts(opened(packed)) == [["good"]]


@pytest.mark.parametrize(
    "content", [b"text,label\na,1\n", b"\xd0\xcf\x11\xe0" + bytes(600), b"PK\x03\x04rest"]
)
def test_a_file_that_is_not_a_workbook_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.xlsx: not an Excel workbook .*save it as \.xlsx"):
        opened(tmp_path / "a.xlsx")


def test_a_damaged_workbook_is_refused_or_read(tmp_path: Path) -> None:
    rows = [["text", "label"], *([f"text {i * 7919}", i] for i in range(300))]
    whole = saved(tmp_path / "a.xlsx", Sheet=rows).read_bytes()
    for at in range(0, len(whole), len(whole) // 20):
        damaged = whole[:at] + b"\xff" * 40 + whole[at + 40 :]
        (tmp_path / "b.xlsx").write_bytes(damaged)
        try:
            assert len(texts(opened(tmp_path / "b.xlsx", header=True))) == 300
        except DataError as error:
            assert "b.xlsx" in str(error)


def test_without_openpyxl_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.xlsx", Sheet=[["text"], ["good"]])
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MissingPackageError, match=r"a\.xlsx.* pip install 'bertune\[xlsx\]'.*CSV"):
        opened(path)
