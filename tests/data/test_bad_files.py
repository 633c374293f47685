"""The errors for files that cannot be read: what is wrong, where, and what to do."""

import bz2
import gzip
import io
import lzma
import os
import re
from pathlib import Path

import pytest

from bertune.config import DataConfig
from bertune.data.tables import open_lines, open_table
from bertune.errors import ConfigError, DataError, InputError

NAMES = ("text", "label")


def write(path: Path, content: str | bytes) -> Path:
    raw = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def refusal(path: Path, kind: type[InputError] = DataError, **options: object) -> str:
    """The error message for a file that cannot be read to the end."""
    with pytest.raises(kind) as caught:
        for _ in open_table(path, DataConfig.model_validate(options), NAMES).rows():
            pass
    return str(caught.value)


def says(message: str, *parts: str) -> None:
    for part in parts:
        assert part in message, message


def test_the_error_for_a_missing_file_suggests_the_nearest_name(tmp_path: Path) -> None:
    write(tmp_path / "train.csv.gz", "text\na\n")
    says(refusal(tmp_path / "train.csv"), f"file not found: {tmp_path}/train.csv", 'mean "train.csv.gz"?')


def test_the_error_for_a_missing_file_lists_the_folder_without_a_near_name(tmp_path: Path) -> None:
    write(tmp_path / "corpus.csv", "text\na\n")
    says(refusal(tmp_path / "x.tsv"), "file not found", "contains corpus.csv")
    says(refusal(tmp_path / "no" / "x.tsv"), "The folder", "does not exist")


def test_the_error_for_a_folder_lists_its_files(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "text\na\n")
    says(refusal(tmp_path), "is a folder", "Use a data file", "train.csv")
    says(refusal(tmp_path, reader="delimited"), str(tmp_path), "Is a directory")


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl", "a.json", "a.parquet"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    says(refusal(write(tmp_path / name, "")), name, "is empty", "at least one row")


@pytest.mark.parametrize(
    ("name", "content", "seen"),
    [
        ("a.csv", "text,label\n", "has no rows below its header line"),
        ("a.csv", "\n\n", "has no rows."),
        ("a.csv.gz", "", "has no rows."),
        ("a.jsonl", "\n", "has no rows."),
        ("a.json", "[]", "has no rows."),
    ],
)
def test_a_file_without_rows_is_refused(tmp_path: Path, name: str, content: str, seen: str) -> None:
    says(refusal(write(tmp_path / name, content)), name, seen, "at least one row")


@pytest.mark.parametrize("header", [True, "auto"])
def test_a_file_with_only_a_header_is_distinguished_from_an_empty_file(
    tmp_path: Path, header: object
) -> None:
    path = write(tmp_path / "a.csv", "text,label\n")
    says(
        refusal(path, header=header, delimiter="comma", quoting=True),
        "has no rows below its header line",
    )


@pytest.mark.parametrize(
    ("name", "content", "options", "parts"),
    [
        (
            "a.csv",
            'text,label\n"a\nb",1\ngood, really,5\n',
            {},
            ["line 4", "good, really,5", "found 3", "in quotes"],
        ),
        (
            "a.csv",
            "text,label\nx,1\nmissing\n",
            {},
            ["line 3", "expected 2 cells", "found 1", "data.delimiter=tab"],
        ),
        ("a.csv", 'text,label\nx,1\nsay "a", b,1\n', {}, ["line 3", "data.quoting=false"]),
        ("a.tsv", 'text\tlabel\n"x" y\t1\n"a\tb"\t1\n', {}, ["line 3", '"a\\tb"', "data.quoting=true"]),
        (
            "a.tsv",
            "text\tlabel\n" + "x" * 99 + "\n",
            {},
            ["line 2", "x" * 60 + "…", "data.delimiter=comma"],
        ),
        (
            "a.csv",
            "a,b\nx,1\ny\n",
            {"header": False, "quoting": False, "delimiter": ","},
            ["line 3", "found 1"],
        ),
    ],
)
def test_a_ragged_row_is_shown_with_its_line_and_a_remedy(
    tmp_path: Path, name: str, content: str, options: dict[str, object], parts: list[str]
) -> None:
    says(refusal(write(tmp_path / name, content), **options), f"{name}, line", *parts)


def test_a_carriage_return_inside_a_cell_is_named_as_the_cause(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.csv", "text,label\nwhole,0\ncut\rhere,1\n"))
    says(message, "a.csv, line 3", "found 1: cut.", "carriage return", "remove it", "in quotes")


def test_an_unclosed_quote_is_found_on_the_line_where_it_opens(tmp_path: Path) -> None:
    content = 'text,label\n"closed\nhere",1\nplain,2\n"one\ntwo","opens here\n' + "more,1\n" * 50
    message = refusal(write(tmp_path / "a.csv", content))
    says(message, "a.csv, line 6:", "never closed", '"opens here', "data.quoting=false")


def test_a_quote_closed_by_the_next_quoted_cell_does_not_join_rows(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.csv", 'text,label\nx,1\n"open,1\nplain,2\n"next",1\n'))
    says(message, "a.csv, line 3:", '"open,1', "closed on line 5", "next")
    says(message, "Double a quote", "data.quoting=false")


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.csv.gz"])
def test_a_nul_byte_is_found_with_its_line(tmp_path: Path, name: str) -> None:
    message = refusal(write(tmp_path / name, '{"text": "good"}\n{"text": "b\0d"}\n'))
    says(message, f"{name}, line 2:", "NUL byte at character 12", "Remove the byte")


def test_a_cell_full_of_nul_bytes_is_not_mistaken_for_utf16(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.csv", "text,label\ngood,1\n" + "\0" * 9 + ",1\n"))
    says(message, "a.csv, line 3: there is a NUL byte at character 1")


GERMAN = "text,label\nschön,1\nGröße,1\nüber “alles” für Österreich,0\n"
CHINESE = "text,label\ngood,1\n这个宾馆比较陈旧了，特价的房间也很一般。总体来说一般,0\n"
TAIWANESE = "text,label\ngood,1\n這間酒店環境和服務態度亦算不錯，但房間空間太小,0\n"
JAPANESE = "text,label\ngood,1\nこの電話はとても悪い,0\n"
RUSSIAN = "text,label\ngood,1\nочень плохой телефон,0\n"


@pytest.mark.parametrize("size", [0, 70_000])
@pytest.mark.parametrize(
    ("content", "encoding", "parts"),
    [
        (GERMAN, "cp1252", ["Latin-1 or cp1252", "schön", "data.encoding=cp1252"]),
        (GERMAN.replace("“", "").replace("”", ""), "latin-1", ["Latin-1", "data.encoding=cp1252"]),
        ("text,label\nGröße,1\n", "latin-1", ["Latin-1", "data.encoding=cp1252"]),
        ("text,label\n¡Hola señor! ¿Qué tal?,1\n", "latin-1", ["Latin-1", "data.encoding=cp1252"]),
        (CHINESE, "gb18030", ["GB18030", "这个宾馆比较陈旧了", "data.encoding=gb18030"]),
        (TAIWANESE, "big5", ["Big5", "這間酒店環境", "data.encoding=big5"]),
        (JAPANESE, "shift_jis", ["Set the encoding of the file"]),
        (RUSSIAN, "cp1251", ["Set the encoding of the file"]),
    ],
)
def test_bytes_that_are_not_utf8_are_recognised(
    tmp_path: Path, content: str, encoding: str, parts: list[str], size: int
) -> None:
    filler = "plain text,1\n" * (size // 13)
    raw = content.replace("\n", "\n" + filler, 1).encode(encoding)
    offset = next(i for i, byte in enumerate(raw) if byte > 127)
    line = raw[:offset].count(b"\n") + 1
    message = refusal(write(tmp_path / "a.csv", raw))
    says(message, f"a.csv, line {line}: byte {offset} is not UTF-8", *parts)
    packed = refusal(write(tmp_path / "a.csv.gz", raw))
    says(packed, f"line {line}: byte {offset} of the unpacked file", *parts)


@pytest.mark.parametrize(
    ("raw", "parts"),
    [
        (GERMAN.encode("utf-16-le"), ["byte 1", "NUL", "data.encoding=utf-16-le"]),
        (GERMAN.encode("utf-16-be"), ["byte 0", "NUL", "data.encoding=utf-16-be"]),
        (CHINESE.encode("utf-16-le"), ["data.encoding=utf-16-le"]),
        (CHINESE.encode("utf-16-be"), ["data.encoding=utf-16-be"]),
        (gzip.compress(b"text\na\n"), ["gzip", "suffix .gz"]),
        (b"PK\x03\x04rest", ["Excel", "data.reader=xlsx", "CSV UTF-8"]),
        (b"PAR1rest", ["Parquet", "data.reader=parquet"]),
    ],
    ids=[
        "utf-16-le",
        "utf-16-be",
        "chinese-le",
        "chinese-be",
        "gzip",
        "zip",
        "parquet",
    ],
)
def test_other_formats_are_recognised_by_their_first_bytes(
    tmp_path: Path, raw: bytes, parts: list[str]
) -> None:
    says(refusal(write(tmp_path / "a.csv", raw)), "a.csv, line 1:", *parts)


def test_one_corrupt_line_in_a_utf8_file_is_not_mistaken_for_another_encoding(tmp_path: Path) -> None:
    raw = ("text,label\n" + "schön,1\n" * 20).encode() + b"caf\xe9,1\n"
    message = refusal(write(tmp_path / "a.csv", raw))
    says(message, "line 22: byte 194", "repair")
    assert "data.encoding" not in message


def test_a_file_that_ends_inside_a_character_is_reported_as_truncated(tmp_path: Path) -> None:
    says(refusal(write(tmp_path / "a.csv", "text\n好".encode()[:-1])), "line 2", "byte 5", "truncated")


def test_bytes_that_do_not_fit_a_given_encoding_are_located(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "text\r\nplain\r\nschön\r\n".encode("latin-1"))
    says(refusal(path, encoding="ascii"), "line 3: byte 16 is not ascii", "data.encoding=auto")


@pytest.mark.parametrize("encoding", ["utf8x", "hex"])
def test_an_unknown_encoding_is_a_configuration_error(tmp_path: Path, encoding: str) -> None:
    message = refusal(write(tmp_path / "a.csv", "text\na\n"), ConfigError, encoding=encoding)
    says(message, f'"{encoding}"', "gb18030")


@pytest.mark.parametrize("delimiter", ["::", '"', "\n"])
def test_an_impossible_delimiter_is_a_configuration_error(tmp_path: Path, delimiter: str) -> None:
    message = refusal(write(tmp_path / "a.csv", "text\na\n"), ConfigError, delimiter=delimiter)
    says(message, "data.delimiter=", "semicolon")


def test_a_pipe_is_refused_since_it_can_be_read_only_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    says(refusal(tmp_path / "a.csv"), "a.csv", "read only once", "Save it to a file")


@pytest.mark.parametrize("name", ["a.odd", "a", "a.gz"])
def test_the_error_for_an_unknown_suffix_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    message = refusal(write(tmp_path / name, "text\na\n"))
    says(message, name, ".csv", ".jsonl", ".parquet", "data.reader=delimited", "my_reader.py")


def test_an_old_workbook_is_to_be_saved_in_a_format_that_can_be_read(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.xls", "text\na\n"))
    says(message, "a.xls", "spreadsheet", ".xlsx", ".csv")
    assert "data.reader" not in message


def test_an_unknown_reader_is_a_configuration_error(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.csv", "text\na\n"), ConfigError, reader="parket")
    says(message, 'Did you mean "parquet"?', "delimited")
    assert "_cells" not in message


def test_a_users_reader_that_yields_something_else_is_named(tmp_path: Path) -> None:
    reader = write(tmp_path / "my_reader.py", "def read(path, options):\n    yield {'text': 'a'}\n")
    says(
        refusal(write(tmp_path / "a.x", "a"), reader=str(reader)),
        "my_reader.py",
        "Row",
        "yielded a dict",
    )


def test_a_users_reader_without_a_function_is_named(tmp_path: Path) -> None:
    reader = write(tmp_path / "my_reader.py", "read = 3\n")
    says(refusal(write(tmp_path / "a.x", "a"), reader=str(reader)), "my_reader.py", "read(path, options)")


@pytest.mark.parametrize(
    "name",
    [
        "a.csv.gz",
        "a.jsonl.gz",
        "a.json.gz",
        "a.parquet.gz",
        "a.csv.bz2",
        "a.jsonl.xz",
        "a.json.bz2",
        "a.txt.xz",
    ],
)
def test_a_damaged_compressed_file_is_recognised(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    content = "".join(f'{{"text": "review {i * 7919 % 10007}"}}\n' for i in range(20_000))
    packed = {".gz": gzip, ".bz2": bz2, ".xz": lzma}[path.suffix].compress(content.encode())
    path.write_bytes(packed[: len(packed) // 2])
    says(refusal(path), name, "corrupt or truncated", "Compress or download it again")
    path.write_bytes(packed[:2000] + bytes(500) + packed[2500:])
    says(refusal(path), name, "corrupt or truncated")
    path.write_bytes(content.encode())
    kind = {".gz": "a gzip", ".bz2": "a bzip2", ".xz": "an xz"}[path.suffix]
    says(refusal(path), name, f"not {kind} file", f"remove {path.suffix} from its name")


def test_a_damaged_parquet_file_is_recognised(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    says(
        refusal(write(tmp_path / "a.parquet", "text,label\na,1\n")),
        "a.parquet",
        "not a Parquet file",
        "delimited",
    )
    table = pa.table({"text": [f"review {i * 7919}" for i in range(9000)]})
    pq.write_table(table, tmp_path / "b.parquet", use_dictionary=False, row_group_size=3000)
    raw = bytearray((tmp_path / "b.parquet").read_bytes())
    raw[len(raw) // 2 : len(raw) // 2 + 5000] = b"\xff" * 5000
    (tmp_path / "b.parquet").write_bytes(raw)
    says(refusal(tmp_path / "b.parquet"), "b.parquet", "row 3001", "corrupt")


def test_parquet_columns_with_one_name_are_refused(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.table([["a"], ["b"]], names=["text", "text"]), tmp_path / "a.parquet")
    says(refusal(tmp_path / "a.parquet"), "columns 0 and 1", '"text"')


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('{"text": "a"}\n\n{"text": }\n', ["line 3", "not valid JSON", '{"text": }', "one complete object"]),
        ('{"text": "a"}\n{"text": \n', ["line 2", "not valid JSON", "column 9"]),
        ('{"text": "a"}\n["b"]\n', ["line 2", "found a list", "expected an object"]),
        ('{"text": "a"}\n"b"\n', ["line 2", "found a string"]),
        ('{"text": "a"}\nnull\n', ["line 2", "found null"]),
        ("7\n", ["line 1", "found a number"]),
        ("{}\n", ["line 1", "without keys"]),
        ('[\n{"text": "a"}]\n', ["line 1", "data.reader=json"]),
    ],
)
def test_a_json_line_that_is_not_a_row_is_shown_with_its_number(
    tmp_path: Path, content: str, parts: list[str]
) -> None:
    says(refusal(write(tmp_path / "a.jsonl", content)), "a.jsonl, line", *parts)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ('[{"text": "a"},\n {"text": }]', ["line 2", "not valid JSON", "column 11", '{"text": }']),
        ('{"text": "a"}\n["b"]', ["line 2", "data.reader=jsonl"]),
        ('"text"', ["expected a list of objects", "found a string"]),
        ('{"text": {"a": 1}}', ["expected a list of objects", '"text": an object', "records"]),
        ('{"train": [{"a": 1}], "test": [{"a": 1}]}', ["several lists of objects, train, test"]),
        ('[{"text": "a"}, ["b"]]', ["row 2", "found a list"]),
    ],
)
def test_json_that_is_not_a_list_of_objects_is_refused(
    tmp_path: Path, content: str, parts: list[str]
) -> None:
    says(refusal(write(tmp_path / "a.json", content)), "a.json, ", *parts)


def test_header_names_must_be_present_and_unique(tmp_path: Path) -> None:
    message = refusal(write(tmp_path / "a.csv", "text,,label\na,0,1\n"))
    says(message, "a.csv, line 1", "no name for column 1", "index=False", "data.header=false")
    message = refusal(write(tmp_path / "a.csv", "\ntext,label,text\na,1,b\n"))
    says(message, "a.csv, line 2", "columns 0 and 2", '"text"', "data.header=false")


@pytest.mark.parametrize(
    ("content", "columns", "parts"),
    [
        ("", ("text",), ["<stdin> is empty"]),
        ("\n\n", ("text",), ["<stdin> is empty"]),
        ("a\tb\nonly one\n", ("q", "a"), ["<stdin>, line 2", "expected 2 texts", "found 1"]),
        ('[{"text": "a"}]\n', ("text",), ["<stdin>, line 1", "a list of objects", "one object per line"]),
        ('{"text": "a"}\nplain\n', ("text",), ["<stdin>, line 2", "not valid JSON"]),
        ("a\0b\n", ("text",), ["<stdin>, line 1", "NUL byte"]),
    ],
)
def test_a_stream_that_cannot_be_read_is_refused_with_its_line(
    content: str, columns: tuple[str, ...], parts: list[str]
) -> None:
    with pytest.raises(DataError) as caught:
        list(open_lines(io.StringIO(content), "<stdin>", columns).rows())
    says(str(caught.value), *parts)


def test_a_stream_that_is_not_utf8_is_refused() -> None:
    stream = io.TextIOWrapper(io.BytesIO(b"caf\xe9\n"), encoding="utf-8")
    with pytest.raises(DataError, match=r"byte 0xE9 is not UTF-8.*iconv"):
        open_lines(stream, "<stdin>", ("text",))


def test_every_message_is_one_line(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'text,label\n"a\nb\nc",1,2\n')
    assert re.search(r"\n", refusal(path)) is None
