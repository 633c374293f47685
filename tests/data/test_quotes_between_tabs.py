"""Quotes in tab-separated files: around cells, inside texts, and ambiguous ones."""

from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.tables import open_table
from bertune.errors import DataError

HEAD = "text\tlabel\n"


def table(path: Path, content: str, **options: Any) -> list[tuple[str, ...]]:
    """The cells of every row."""
    path.write_text(content, newline="")
    opened = open_table(path, DataConfig.model_validate(options), ("text",))
    return [tuple(row.values.values()) for row in opened.rows()]


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.txt"])
def test_a_cell_that_needs_quotes_shows_that_quotes_enclose_cells(tmp_path: Path, name: str) -> None:
    wrapped = [("good\tx\nbad", "a"), ("fine", "b")]
    assert table(tmp_path / name, f'{HEAD}"good\tx\nbad"\ta\nfine\tb\n') == wrapped
    assert table(tmp_path / name, f'{HEAD}"one\r\ntwo"\ta\r\nfine\tb\r\n') == [
        ("one\r\ntwo", "a"),
        ("fine", "b"),
    ]
    assert table(tmp_path / name, f'{HEAD}"say ""hi"""\ta\nfine\tb\n') == [('say "hi"', "a"), ("fine", "b")]


def test_a_column_of_quoted_cells_shows_that_quotes_enclose_cells(tmp_path: Path) -> None:
    content = HEAD + '"good"\ta\n"bad"\tb\n'
    assert table(tmp_path / "a.tsv", content) == [("good", "a"), ("bad", "b")]
    assert table(tmp_path / "a.tsv", '"text"\t"label"\n"good"\t"a"\n') == [("good", "a")]
    assert table(tmp_path / "a.tsv", '"text"\t"label"\n"good"\t"a"\n"bad"\t"b"\n') == [
        ("good", "a"),
        ("bad", "b"),
    ]


@pytest.mark.parametrize(
    "content",
    [
        '"good" he said\ta\n"bad"\tb\n',  # as in MRPC
        '"good\ta\nfine\tb\n',  # never closed
        '"good"\ta\nfine\tb\n',  # one cell of a column
        '"good"\ta\n',  # one row
        'say "good"\ta\nfine\tb\n',
        '"say ""hi"""\ta\n"good" he said\tb\n',  # both
        '""\ta\nfine\tb\n',
    ],
)
def test_quotes_that_may_be_text_stay_in_the_text(tmp_path: Path, content: str) -> None:
    expected = [tuple(line.split("\t")) for line in content.splitlines()]
    assert table(tmp_path / "a.tsv", HEAD + content) == expected


def test_a_multi_line_cell_after_the_sample_is_refused_unless_quoting_is_set(tmp_path: Path) -> None:
    content = HEAD + "fine\tb\n" * 1500 + '"good\tx\nbad"\ta\n'
    with pytest.raises(DataError) as caught:
        table(tmp_path / "a.tsv", content)
    for part in ("a.tsv, line 1502:", '"good\\tx', "closes on line 1503", "quoting=true", "quoting=false"):
        assert part in str(caught.value)
    assert table(tmp_path / "a.tsv", content, quoting=True)[-1] == ("good\tx\nbad", "a")
    assert table(tmp_path / "a.tsv", content, quoting=False)[-2:] == [('"good', "x"), ('bad"', "a")]


def test_a_quotation_over_two_rows_is_read_if_other_quotes_cannot_enclose_cells(tmp_path: Path) -> None:
    content = HEAD + '"yes" he said\ta\n"no" he said\tb\n' + '"He came\ta\nand left"\tb\n'
    assert table(tmp_path / "a.tsv", content)[-2:] == [('"He came', "a"), ('and left"', "b")]


def test_a_quote_that_closes_much_later_is_text(tmp_path: Path) -> None:
    content = HEAD + '"open\ta\n' + "fine\tb\n" * 1100 + 'end"\ta\n'
    assert len(table(tmp_path / "a.tsv", content)) == 1102
