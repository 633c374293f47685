"""Reading valid files and streams."""

import gzip
import io
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bertune.config import DataConfig
from bertune.data.rows import Row
from bertune.data.tables import Table, open_lines, open_table

NAMES = ("text", "label", "sentence", "#1 String", "text_a", "Category", "score", "0")

PUBLISHED = {
    "cola/in_domain_train.tsv": (8551, False, 4),
    "cola/in_domain_dev.tsv": (527, False, 4),
    "cola/out_of_domain_dev.tsv": (516, False, 4),
    "mrpc/train.tsv": (3668, True, 5),
    "mrpc/dev.tsv": (408, True, 5),
    "mrpc/msr_paraphrase_test.txt": (1725, True, 5),
    "sst2/train.tsv": (67349, True, 2),
    "sst2/dev.tsv": (872, True, 2),
    "imdb/train.csv.gz": (25000, True, 3),
    "chnsenticorp/train.tsv": (9600, False, 2),
    "chnsenticorp/dev.tsv": (1200, False, 2),
    "chnsenticorp/test.tsv": (1200, True, 2),
    "stsb/train.tsv": (5749, True, 10),
    "banking77/train.csv": (10003, True, 2),
    "20newsgroups/train.jsonl.gz": (11314, True, 3),
}


def write(path: Path, content: str | bytes) -> Path:
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def opened(path: Path, **options: object) -> Table:
    return open_table(path, DataConfig.model_validate(options), NAMES)


def cells(table: Table) -> list[tuple[object, ...]]:
    return [tuple(row.values.values()) for row in table.rows()]


def lines(table: Table) -> list[int]:
    return [row.origin.line for row in table.rows()]


@pytest.mark.skipif(
    "BERTUNE_DATA" not in os.environ, reason="BERTUNE_DATA, the folder of data sets, is not set"
)
@pytest.mark.parametrize("name", PUBLISHED)
def test_a_published_file_is_read_unchanged(name: str) -> None:
    path = Path(os.environ["BERTUNE_DATA"]) / name
    if not path.exists():
        pytest.skip(f"{name} is not in BERTUNE_DATA")
    table = opened(path)
    assert (sum(1 for _ in table.rows()), table.has_header, len(table.columns)) == PUBLISHED[name]


@pytest.mark.parametrize(
    ("suffix", "content"),
    [
        (".csv", "text,label\ngreat phone,5\nbroke,1\n"),
        (".tsv", "text\tlabel\ngreat phone\t5\nbroke\t1\n"),
        (".txt", "text\tlabel\r\ngreat phone\t5\r\nbroke\t1"),
        (".jsonl", '{"text": "great phone", "label": "5"}\n\n{"label": "1", "text": "broke"}\n'),
        (".ndjson", '{"text": "great phone", "label": "5"}\n{"text": "broke", "label": "1"}'),
        (".json", '[{"text": "great phone", "label": "5"},\n {"text": "broke", "label": "1"}]'),
        (
            ".json",
            '{"v": 1, "rows": [{"text": "great phone", "label": "5"}, {"text": "broke", "label": "1"}]}',
        ),
    ],
)
@pytest.mark.parametrize("packed", ["", ".gz"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_every_text_format_gives_the_same_rows_compressed_or_with_a_bom(
    tmp_path: Path, suffix: str, content: str, packed: str, mark: str
) -> None:
    table = opened(write(tmp_path / f"reviews{suffix.upper()}{packed}", mark + content))
    assert table.columns == ("text", "label") and table.has_header
    expected = [{"text": "great phone", "label": "5"}, {"text": "broke", "label": "1"}]
    assert [dict(row.values) for row in table.rows()] == expected
    assert [dict(row.values) for row in table.rows()] == expected, "a table can be read again"


@pytest.mark.parametrize("name", ["reviews.parquet", "reviews.parquet.gz"])
def test_parquet_is_read_with_its_types_and_row_numbers(tmp_path: Path, name: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table({"text": ["a", None, "c"] * 700, "label": [1, 2, None] * 700}), sink)
    table = opened(write(tmp_path / name, sink.getvalue()))
    assert table.columns == ("text", "label")
    assert cells(table)[:3] == [("a", 1), (None, 2), ("c", None)]
    assert lines(table) == list(range(1, 2101))


def test_origins_contain_the_path_as_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "reviews.csv", "text\ngood\n")
    monkeypatch.chdir(tmp_path)
    (row,) = opened(Path("reviews.csv")).rows()
    assert str(row.origin) == "reviews.csv, line 2"


def test_line_numbers_count_physical_lines(
    tmp_path: Path,
) -> None:
    content = 'text,label\n"two\nlines",1\n\n"one ""quoted"" word",2\n"a\r\nb\n\nc",3\nlast,4\n\n\n'
    table = opened(write(tmp_path / "reviews.csv", content))
    assert cells(table) == [
        ("two\nlines", "1"),
        ('one "quoted" word', "2"),
        ("a\r\nb\n\nc", "3"),
        ("last", "4"),
    ]
    assert lines(table) == [2, 5, 6, 10]


def test_a_file_without_known_column_names_has_numbered_columns(tmp_path: Path) -> None:
    table = opened(write(tmp_path / "train.tsv", "gj04\t1\t\tOur friends\ngj04\t0\t*\tOne more"))
    assert table.columns == ("0", "1", "2", "3") and not table.has_header
    assert cells(table) == [("gj04", "1", "", "Our friends"), ("gj04", "0", "*", "One more")]
    assert table.notes == (f"{table.name}: tab-separated, no header, no quoting",)


@pytest.mark.parametrize(
    ("first_line", "options", "has_header"),
    [
        ("TEXT ,stars", {}, True),
        ("\ufeff Label,stars", {}, True),
        ("review,stars", {}, False),
        ("review,stars", {"text": "Review"}, True),
        ("review,stars", {"label": "stars"}, True),
        ("review,stars", {"id": "review"}, True),
        ("0,1", {"text": "0", "label": "1"}, False),
        ("review,stars", {"header": True}, True),
        ("text,label", {"header": False}, False),
    ],
)
def test_a_header_needs_a_known_or_given_name(
    tmp_path: Path, first_line: str, options: dict[str, object], has_header: bool
) -> None:
    table = opened(write(tmp_path / "reviews.csv", f"{first_line}\ngood,5\n"), **options)
    assert table.has_header is has_header
    assert lines(table) == ([2] if has_header else [1, 2])


def test_header_names_are_stripped(tmp_path: Path) -> None:
    assert opened(write(tmp_path / "a.csv", "text, label \ngood,5\n")).columns == ("text", "label")


def test_a_first_label_that_occurs_only_once_is_noted_if_columns_are_numbered(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "review,stars\ngood,5\nfine,5\nbad,1\n")
    (_, note) = opened(path, text="0", label="1").notes
    assert note == (
        f'{path}: line 1 is read as data, although its label "stars" does not occur again;'
        " if it is a header, set data.header=true"
    )
    assert len(opened(path, text="0", label="1", header=False).notes) == 1
    plain = write(tmp_path / "b.csv", "good,5\nfine,5\nbad,1\nodd,1\n")
    assert len(opened(plain, text="0", label="1").notes) == 1
    unique = write(tmp_path / "c.csv", "good,0.1\nfine,0.2\nbad,0.3\n")
    assert len(opened(unique, text="0", label="1").notes) == 1


@pytest.mark.parametrize(
    ("content", "columns", "delimiter"),
    [
        ("text;label\ngood, really;5\n", ("text", "label"), "semicolon"),
        ("text\tlabel\ngood; really, good\t5\n", ("text", "label"), "tab"),
        ('text,label\n"a;b",5\n"c;d",1\n', ("text", "label"), "comma"),
        ("text,label\na;b,5\nc;d,1\n", ("text", "label"), "comma"),
        ("text\nnothing here\n", ("text",), "comma"),
        ('text;label\n"wrapped; here",5;1\n', ("text", "label"), "semicolon"),
    ],
)
def test_the_delimiter_of_a_csv_file_is_detected(
    tmp_path: Path, content: str, columns: tuple[str, ...], delimiter: str
) -> None:
    if "wrapped" in content:
        content = content.replace(",5;1", ";5")
    table = opened(write(tmp_path / "a.csv", content))
    assert table.columns == columns
    assert table.notes[0].startswith(f"{table.name}: {delimiter}-separated")


def test_a_quoted_cell_at_the_end_of_the_sample_does_not_hide_the_delimiter(tmp_path: Path) -> None:
    content = "text;label\n" + "good, really;5\n" * 40 + '"' + "and, on\n" * 60 + '";1\n'
    assert opened(write(tmp_path / "a.csv", content)).columns == ("text", "label")


@pytest.mark.parametrize(
    ("given", "char"), [("tab", "\t"), ("\\t", "\t"), ("Comma", ","), ("semicolon", ";")]
)
@pytest.mark.parametrize("suffix", [".csv", ".dat"])
def test_a_delimiter_can_be_given_as_a_word(tmp_path: Path, given: str, char: str, suffix: str) -> None:
    path = write(tmp_path / f"a{suffix}", f"text{char}label\ngood{char}5\n")
    assert cells(opened(path, delimiter=given, reader="delimited")) == [("good", "5")]


@pytest.mark.parametrize("given", ["pipe", "|"])
def test_pipes_are_delimiters_if_set_or_between_known_names(tmp_path: Path, given: str) -> None:
    path = write(tmp_path / "a.txt", 'text|label\n"good | bad"|5\n')
    assert cells(opened(path, delimiter=given)) == cells(opened(path)) == [("good | bad", "5")]
    assert opened(write(tmp_path / "b.txt", "said|x\na|b\n"), header=True).columns == ("said|x",)


def test_tab_separated_quotes_stay_in_the_text_and_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv", 'text\tlabel\n"Yes , " he said\t1\n" No\t0\n')
    table = opened(path)
    assert cells(table) == [('"Yes , " he said', "1"), ('" No', "0")]
    assert table.notes[1] == (
        f"{table.name}: quotes are read as text; if they enclose cells, set data.quoting=true"
    )


def test_quoting_can_be_set_for_tabs_and_commas(tmp_path: Path) -> None:
    tabs = write(tmp_path / "a.tsv", 'text\tlabel\n"one\ttwo"\t1\n')
    assert cells(opened(tabs, quoting=True)) == [("one\ttwo", "1")]
    commas = write(tmp_path / "a.csv", 'text,label\n"open,1\n')
    assert cells(opened(commas, quoting=False)) == [('"open', "1")]


def test_a_cell_longer_than_the_default_limit_of_csv_is_read(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert cells(opened(write(tmp_path / "a.csv", f'text,label\n"{long}",1\n'))) == [(long, "1")]
    assert cells(opened(write(tmp_path / "a.tsv", f"text\tlabel\n{long}\t1\n"))) == [(long, "1")]


@pytest.mark.parametrize("encoding", ["gb18030", "big5", "utf-16", "utf-8", "utf-8-sig", "utf-16-le"])
def test_a_given_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", "text,label\n很好,1\n".encode(encoding))
    assert cells(opened(path, encoding=encoding)) == [("很好", "1")]


def test_json_values_keep_their_types(tmp_path: Path) -> None:
    values = {"text": "a", "label": 1, "score": 2.5, "ok": True, "none": None, "tags": ["x"]}
    (row,) = opened(write(tmp_path / "a.jsonl", json.dumps(values))).rows()
    assert dict(row.values) == values


def test_a_file_larger_than_memory_is_streamed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"text": "a"}\n' * 5 + "no json")
    rows = opened(path).rows()
    assert [row.origin.line for row in itertools.islice(rows, 5)] == [1, 2, 3, 4, 5]


def test_a_custom_reader_is_a_file(tmp_path: Path) -> None:
    reader = write(
        tmp_path / "my_reader.py",
        "from bertune.data.rows import Origin, Row\n"
        "def read(path, options):\n"
        "    for number, line in enumerate(path.read_text().splitlines(), 1):\n"
        "        yield Row({'text': line.strip()}, Origin(str(path), number))\n",
    )
    table = opened(write(tmp_path / "corpus.weird", "one\ntwo\n"), reader=str(reader))
    assert table.columns == ("text",) and cells(table) == [("one",), ("two",)]


def test_a_stream_of_lines_has_one_text_per_line_including_blank_ones() -> None:
    table = open_lines(io.StringIO("\ufeff\ngreat\tphone\r\n\nbroke"), "<stdin>", ("review",))
    assert table.columns == ("review",) and not table.has_header
    rows = list(table.rows())
    assert [row.values["review"] for row in rows] == ["", "great\tphone", "", "broke"]
    assert [row.origin.line for row in rows] == [1, 2, 3, 4]


def test_pairs_in_a_stream_are_separated_by_a_tab() -> None:
    table = open_lines(io.StringIO("why?\tbecause\n"), "<stdin>", ("question", "sentence"))
    assert cells(table) == [("why?", "because")]


def test_a_stream_of_objects_is_read_as_json() -> None:
    stream = io.StringIO('\n{"id": 7, "text": "great"}\n{"id": 8, "text": "bad"}\n')
    table = open_lines(stream, "<stdin>", ("text",))
    assert table.columns == ("id", "text") and table.has_header
    assert cells(table) == [(7, "great"), (8, "bad")]


def test_a_stream_is_read_lazily() -> None:
    class Typed(io.StringIO):
        taken = 0

        def readline(self, size: int = -1, /) -> str:
            self.taken += 1
            return super().readline(size)

    for content in ("one\ntwo\nthree\n", '{"text": 1}\n{"text": 2}\n{"text": 3}\n'):
        stream = Typed(content)
        rows = open_lines(stream, "<stdin>", ("text",)).rows()
        assert isinstance(next(rows), Row) and stream.taken == 1
        next(rows)
        assert stream.taken == 2


def test_importing_the_data_layer_is_cheap() -> None:
    code = (
        "import sys, bertune.data.tables, bertune.data.memory, bertune.data.columns\n"
        "heavy = {'torch', 'transformers', 'pandas', 'pyarrow', 'datasets'}\n"
        "sys.stdout.write(' '.join(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
