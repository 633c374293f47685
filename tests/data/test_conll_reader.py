"""CoNLL files: every supported layout, real files, and errors for invalid lines."""

import os
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.rows import Row
from bertune.data.tables import open_table
from bertune.errors import DataError

DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")


def rows(path: Path, content: str | None = None, **options: Any) -> list[Row]:
    if content is not None:
        path.write_text(content, encoding="utf-8")
    return list(open_table(path, DataConfig(**options), ()).rows())


def test_words_are_the_first_column_and_tags_the_last(tmp_path: Path) -> None:
    content = "-DOCSTART- -X- -X- O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\n\nPeter NNP B-NP B-PER\n"
    found = rows(tmp_path / "a.conll", content)
    assert [row.values for row in found] == [
        {"tokens": ["EU", "rejects"], "tags": ["B-ORG", "O"]},
        {"tokens": ["Peter"], "tags": ["B-PER"]},
    ]
    assert [str(row.origin) for row in found] == [f"{tmp_path}/a.conll, line {n}" for n in (3, 7)]


@pytest.mark.parametrize(
    ("name", "content", "tokens"),
    [
        ("a.bio", "New York\tB-LOC\nsaw\tO\n", ["New York", "saw"]),
        ("a.ner", "在 O\r\n\u3000 O\r\n家 O\r\n", ["在", "\u3000", "家"]),
        ("a.iob2", "one  O\n# O\n", ["one", "#"]),
        ("a.iob", "# sent_id = 4\none O\n# O\n", ["one", "#"]),
        ("a.bmes", "1 9 年\tO O O\n", ["1", "9", "年"]),
        ("a.conll", "# my corpus of 2024\n#\tX\tY\none O\n# O\n", ["one", "#"]),
        ("a.conll", "Token\tNER\none\tO\ntag\tO\n", ["one", "tag"]),
        ("a.conll", "en:one O\nen:: O\nen:two B-X\n", ["one", ":", "two"]),
        ("a.conll", "a:b O\nen:two B-X\nen:x O\n", ["a:b", "en:two", "en:x"]),
    ],
)
def test_separators_comments_and_wide_spaces(
    tmp_path: Path, name: str, content: str, tokens: list[str]
) -> None:
    (row,) = rows(tmp_path / name, content)
    assert row.values["tokens"] == tokens
    assert len(row.values["tags"]) == len(tokens)


@pytest.mark.parametrize("head", ["", "token\ttag\n", "# a corpus\n"])
@pytest.mark.parametrize("suffix", [".tsv", ".txt"])
def test_tagged_words_between_blank_lines_are_not_texts(tmp_path: Path, suffix: str, head: str) -> None:
    content = f"{head}Bo\tB-PER\nran\tO\n\nyes\tO\n"
    found = rows(tmp_path / f"a{suffix}", content)
    assert [row.values["tokens"] for row in found] == [["Bo", "ran"], ["yes"]]
    if not head.startswith("#"):
        table = open_table(tmp_path / f"a{suffix}", DataConfig(text=("0",), label="1"), ())
        assert (suffix == ".tsv") == ("0" in table.columns), "settings say that it is a table"


def test_a_tsv_file_of_texts_with_blank_lines_is_a_table(tmp_path: Path) -> None:
    assert rows(tmp_path / "a.tsv", "a film\tO\n\nbad one\tB\n")[0].values == {"0": "a film", "1": "O"}


def test_a_txt_file_that_is_not_recognised_can_be_read_by_name(tmp_path: Path) -> None:
    (row,) = rows(tmp_path / "a.txt", "Bo B-PER\nran O\n", reader="conll")
    assert row.values == {"tokens": ["Bo", "ran"], "tags": ["B-PER", "O"]}


@pytest.mark.parametrize(
    "content",
    [
        'word,tag\nBo,B-PER\n"1,5",O\n\nyes,O\n',
        'Bo;X;B-PER\n"1,5";Y;O\n;;\nyes;Z;O\n',
    ],
)
def test_a_csv_file_with_blank_lines_between_sentences_can_be_read(tmp_path: Path, content: str) -> None:
    expected = [{"tokens": ["Bo", "1,5"], "tags": ["B-PER", "O"]}, {"tokens": ["yes"], "tags": ["O"]}]
    assert [row.values for row in rows(tmp_path / "a.csv", content, reader="conll")] == expected
    sign = "semicolon" if ";" in content else ","
    found = rows(tmp_path / "a.data", content, reader="conll", delimiter=sign)
    assert [row.values for row in found] == expected


def test_words_without_tags_can_be_read(tmp_path: Path) -> None:
    assert [row.values for row in rows(tmp_path / "a.conll", "Bo\nran\n\nyes\n")] == [
        {"tokens": ["Bo", "ran"]},
        {"tokens": ["yes"]},
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a O\nb\n", r"line 2: expected 2 columns as in the first line, found 1: b"),
        ("a X O\n\nb O\n", r"line 3: expected 3 columns .* found 2: b O"),
        ("a\tO\nb\t\n", r"line 2: the tag is missing"),
        (" O\n", r"line 1: the word is missing"),
        ("1\ta\tO\n2\tb\tO\n3\tc\tO\n", r"line 1: the first column holds word numbers"),
        ("d 0 0 a N (S - - - - *\nd 0 1 b N * - - - - *\nd 0 2 c N *) - - - - *\n", "line 1: .*CoNLL-2012"),
        ("a b\tO O\na\tO\tO\n", r"line 2: expected words, a tab and tags .* found 3 cells"),
    ],
)
def test_an_invalid_line_is_named(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        rows(tmp_path / "a.conll", content)


@needs_data
@pytest.mark.parametrize(
    ("file", "reader", "sentences"),
    [
        ("conll2003/valid.txt", "conll", 3250),
        ("conll2003/test.txt", "conll", 3453),
        ("weibo_ner/train.all.bmes", "auto", 1350),
        ("resume_ner/dev.char.bmes", "auto", 463),
        ("msra_ner/test.ner", "auto", 4365),
    ],
)
def test_published_files_have_their_published_number_of_sentences(
    file: str, reader: str, sentences: int
) -> None:
    assert DATA is not None
    found = rows(Path(DATA) / file, reader=reader)
    assert len(found) == sentences
    assert all(len(row.values["tokens"]) == len(row.values["tags"]) for row in found)
