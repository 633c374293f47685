"""Files built to crash bertune or exhaust memory cause one error quickly, with the real command."""

import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tiny import Result, bertune, process

MEMORY = 1 << 30  # bytes of memory that a refusal may use
MEBIBYTE = 1 << 20
ROWS = "".join(
    f"{word} phone {i},{label}\n" for i in range(6) for word, label in (("fine", "a"), ("dull", "b"))
)


def only_error(said: Result) -> str:
    """The error message of a command that refused its input."""
    assert said.code == 3, said.err
    assert said.out == "" and "Traceback" not in said.err
    assert said.err.count("error: ") == 1
    return said.err.partition("error: ")[2]


def refused(path: Path, tiny_folder: Path, *settings: str) -> str:
    """The error message of `bertune train` for a file."""
    return only_error(bertune("train", path, f"model.name={tiny_folder}", *settings))


def bomb(path: Path, head: bytes, unit: bytes, size: int = 40 * MEBIBYTE) -> Path:
    """A gzip file of some KiB that decompresses to `size` bytes."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    block = unit * (MEBIBYTE // len(unit))
    pieces = [
        packer.compress(head),
        *(packer.compress(block) for _ in range(size // MEBIBYTE)),
        packer.flush(),
    ]
    path.write_bytes(b"".join(pieces))
    return path


@pytest.mark.parametrize(
    ("name", "head", "unit"),
    [
        ("a.csv.gz", b"text,label\n", b"x"),
        ("a.csv.gz", b"text,label\n", b"good phone that came late in a broken box,good\n"),
        ("a.tsv.gz", b"text\tlabel\n", b"x"),
        ("a.jsonl.gz", b'{"text": "', b"x"),
        ("a.json.gz", b'[{"text": "', b"x"),
        ("a.parquet.gz", b"PAR1", b"x"),
        ("a.spacy.gz", b"", b"x"),
        ("a.conllu.gz", b"# text = ", b"x"),
    ],
)
def test_a_gzip_bomb_is_refused(
    tmp_path: Path, tiny_folder: Path, name: str, head: bytes, unit: bytes
) -> None:
    if name == "a.spacy.gz":
        pytest.importorskip("spacy")
    path = bomb(tmp_path / name, head, unit)
    message = refused(path, tiny_folder)
    for part in (str(path), "100 times", "unpack it yourself"):
        assert part in message


@pytest.mark.parametrize("name", ["zeros.csv", "zeros.jsonl", "zeros.csv.gz"])
def test_a_file_of_zeros_is_refused_at_the_first_byte(tmp_path: Path, tiny_folder: Path, name: str) -> None:
    path = tmp_path / name
    if name.endswith(".gz"):
        bomb(path, b"text,label\n", b"\0", 4 * MEBIBYTE)
    else:
        with path.open("wb") as file:
            file.truncate(6 << 30)  # a sparse file, which takes no disk space
    assert "there is a NUL byte at character 1 of the line" in refused(path, tiny_folder)


def test_a_json_file_too_large_for_memory_is_refused_by_its_size(tmp_path: Path, tiny_folder: Path) -> None:
    with (tmp_path / "a.json").open("wb") as file:
        file.write(b"[")
        file.truncate(3 << 30)
    assert "a.json: the file is larger than 2,048 MiB" in refused(tmp_path / "a.json", tiny_folder)


def pieces(head: str, unit: str, size: int) -> Iterator[str]:
    yield head
    block = unit * (MEBIBYTE // len(unit))
    for _ in range(size // MEBIBYTE):
        yield block


@pytest.mark.parametrize(
    ("name", "head", "unit", "seen"),
    [
        ("a.csv", "text,label\n", "the quick brown fox ", "line 2: the line is longer than 128 MiB"),
        ("a.jsonl", '{"text": "', "the quick brown fox ", "line 1: the line is longer than 128 MiB"),
        ("a.csv", 'text,label\n"', "xy\n", "line 2: the quote that opens here is not closed within 128 MiB"),
    ],
)
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the peak of memory from /proc")
def test_an_endless_record_is_refused_with_little_memory(
    tmp_path: Path, tiny_folder: Path, name: str, head: str, unit: str, seen: str
) -> None:
    with (tmp_path / name).open("w") as file:
        file.writelines(pieces(head, unit, 140 * MEBIBYTE))
    code = (
        "import re, sys\n"
        "from bertune.data.tables import open_table\nfrom bertune.config import DataConfig\n"
        "from bertune.errors import DataError\n"
        "try:\n    list(open_table(sys.argv[1], DataConfig(), ('text',)).rows())\n"
        "except DataError as error:\n    print(error)\n"
        # Not from getrusage, which also counts the memory of the process that this one was forked from.
        "print(int(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1]) * 1024)\n"
    )
    done = process(sys.executable, "-c", code, tmp_path / name, cwd=tmp_path).fine()
    *message, memory = done.out.splitlines()
    assert seen in message[0] and int(memory) < MEMORY


def test_standard_input_without_an_end_of_line_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    from bertune.data import tables
    from bertune.errors import DataError

    monkeypatch.setattr(tables, "LONGEST_LINE", 1000)
    monkeypatch.setattr(tables, "_PIECE", 300)
    with pytest.raises(DataError, match="<stdin>, line 2: the line is longer than"):
        list(tables.open_lines(io.StringIO("fine\n" + "x" * 5000), "<stdin>", ("text",)).rows())
    whole = io.StringIO("fine\n" + "x" * 900 + "\n" + "y" * 300)
    rows = [row.values["text"] for row in tables.open_lines(whole, "<stdin>", ("text",)).rows()]
    assert rows == ["fine", "x" * 900, "y" * 300]


DIGITS = "9" * 4301


@pytest.mark.parametrize(
    ("name", "content", "parts"),
    [
        (
            "a.jsonl",
            f'{{"text":"a","label":1}}\n{{"text":"1","label":{DIGITS}}}\n',
            ["line 2, column 21", "4,301 digits"],
        ),
        ("a.json", f'[{{"text":"a"}},\n{{"text":{DIGITS}}}]', ["line 2, column 9", "4,301 digits", "4,300"]),
        (
            "a.json",
            f'{{"data":[{{"paragraphs":[{{"context":"a","n":{DIGITS}}}]}}]}}',
            ["line 1", "4,301 digits"],
        ),
        (
            "a.jsonl",
            '{"text":"a","label":1}\n{"text":"b","label":1,"label":0}\n',
            ["line 2, column 23", '"label" occurs twice'],
        ),
        (
            "a.json",
            '[{"text":"a","x":{"k":1}},\n{"text":"b","x":{"k":1,\n"k":2}}]',
            ["line 3, column 1", '"k" occurs twice'],
        ),
        ("a.json", '[{"te\\u0078t":"a",\n"text":"b"}]', ["line 2", '"text" occurs twice']),
        (
            "a.json",
            '[{"data":{"text":"ab"},"annotations":5,"x":{"annotations":[],"labels":[5]}}]',
            ["task 1", '"annotations" must be a list', "a number"],
        ),
        (
            "a.json",
            '[{"data":{"text":"ab"},"annotations":[{"result":5}],"x":{"labels":[5]}}]',
            ["task 1", '"result" must be a list', "a number"],
        ),
        (
            "a.json",
            '[{"data":{"text":"ab"},"annotations":[7],"x":{"labels":[5]}}]',
            ["task 1", 'item 1 of "annotations"'],
        ),
        ("a.json", '[{"text":' + "[" * 150 + "]" * 150 + "}]", ["line 1", "nested too deeply", "100 levels"]),
        (
            "a.tsv",
            "text\tlabel\nx\ta\n" + "y\tb\n" * 1200 + '"good\tx\nbad"\ta\nfine\tb\n',
            ["line 1203", "closes on line 1204", "data.quoting=true", "data.quoting=false"],
        ),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_a_file_that_used_to_crash_or_change_is_refused_with_its_location(
    tmp_path: Path, tiny_folder: Path, name: str, content: str, parts: list[str]
) -> None:
    (tmp_path / name).write_text(content)
    message = refused(tmp_path / name, tiny_folder)
    for part in (name, *parts):
        assert part in message, message
    with gzip.open(tmp_path / f"{name}.gz", "wt") as file:
        file.write(content)
    message = refused(tmp_path / f"{name}.gz", tiny_folder)
    for part in (name, *parts):
        assert part in message, message


@pytest.mark.parametrize("damage", ["checksum", "cut"])
def test_a_compressed_file_with_wrong_bytes_and_a_damaged_end_is_refused(
    tmp_path: Path, tiny_folder: Path, damage: str
) -> None:
    packed = gzip.compress(b"text,label\ngood,1\nsch\xf6n,0\n")
    packed = packed[:-4] if damage == "cut" else packed[:-8] + b"\0\0\0\0" + packed[-4:]
    (tmp_path / "a.csv.gz").write_bytes(packed)
    assert "a.csv.gz, line 3: byte 21 of the unpacked file is not UTF-8" in refused(
        tmp_path / "a.csv.gz", tiny_folder
    )


def parquet(path: Path, column: Any, name: str = "label") -> Path:
    import pyarrow
    import pyarrow.parquet

    pyarrow.parquet.write_table(pyarrow.table({"text": ["fine", "dull"], name: column}), path)
    return path


def odd_columns() -> list[Any]:
    import pyarrow as pa

    numbers = pa.array([1, 2**62], pa.int64())
    offsets, letters = (pa.py_buffer(raw) for raw in (b"\0\0\0\0\1\0\0\0\2\0\0\0", b"a\xff"))
    return [
        pytest.param(pa.array([1, 10**9], pa.int32()).cast(pa.date32()), ["row 2", "date32"], id="date"),
        pytest.param(numbers.cast(pa.timestamp("ms")), ["row 2", "timestamp", "1 and 9999"], id="timestamp"),
        pytest.param(numbers.cast(pa.duration("ms")), ["row 2", "duration"], id="duration"),
        pytest.param(
            pa.Array.from_buffers(pa.string(), 2, [None, offsets, letters]),
            ["row 2", "not UTF-8", "0xFF"],
            id="bytes",
        ),
        pytest.param(
            pa.array([1, 2], pa.timestamp("us", tz="Mars/Olympus")),
            ["row 1", "Mars/Olympus", "UTC"],
            id="zone",
        ),
    ]


@pytest.mark.parametrize(("column", "parts"), odd_columns())
@pytest.mark.parametrize("name", ["label", "unused"])
def test_a_parquet_value_without_python_equivalent_is_refused_with_row_and_column(
    tmp_path: Path, tiny_folder: Path, column: Any, parts: list[str], name: str
) -> None:
    message = refused(parquet(tmp_path / "a.parquet", column, name), tiny_folder)
    for part in ("a.parquet", f'column "{name}"', *parts):
        assert part in message, message


@pytest.mark.parametrize(
    ("task", "cell", "seen"),
    [
        ("multilabel", "[" + DIGITS + "]", "4,301 digits"),
        ("multilabel", '[{"a": 1, "a": 2}]', "occurs twice"),
        ("multilabel", "['a', " + "-" * 5000 + "1]", "cannot be read"),
        ("multilabel", "[{[]: 1}]", "cannot be read"),
        ("multilabel", "[" * 5000, "nested too deeply"),
        ("multilabel", '["\\ud800"]', "half a character"),
        ("ner", "['O', " + "-" * 5000 + "1]", "cannot be read"),
        ("ner", "[" + DIGITS + "]", "4,301 digits"),
        ("ner", '["\\ud800"]', "half a character"),
    ],
    ids=lambda value: value[:20],
)
def test_a_cell_with_an_unreadable_list_is_refused(
    tmp_path: Path, tiny_folder: Path, task: str, cell: str, seen: str
) -> None:
    lines = [json.dumps({"text": "fine", "label": text}) for text in ("[]", cell)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    message = refused(tmp_path / "a.jsonl", tiny_folder, f"task.name={task}")
    assert "a.jsonl, line 2" in message and seen in message, message


def test_tokens_that_are_objects_and_other_things_are_refused(tmp_path: Path, tiny_folder: Path) -> None:
    row = {"tokens": [{"text": "a"}, True], "tags": ["O", "O"]}
    (tmp_path / "a.jsonl").write_text(json.dumps(row))
    message = refused(tmp_path / "a.jsonl", tiny_folder, "task.name=token_classification")
    assert 'a.jsonl, line 1: expected text tokens in column "tokens", got true' in message


def test_the_number_of_a_choice_may_have_any_length(tmp_path: Path, tiny_folder: Path) -> None:
    line = json.dumps({"context": "c", "question": "q", "choices": ["a", "b"], "label": DIGITS})
    (tmp_path / "a.jsonl").write_text(line)
    assert "a.jsonl, line 1: the answer" in refused(
        tmp_path / "a.jsonl", tiny_folder, "task.name=multiple_choice"
    )


@pytest.fixture(scope="module")
def run(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hostile")
    (folder / "a.csv").write_text("text,label\n" + ROWS)
    settings = ("train.epochs=1", "machine.threads=1", "machine.device=cpu")
    bertune("train", folder / "a.csv", f"model.name={tiny_folder}", *settings, "--out", folder / "run").fine()
    return folder / "run"


@pytest.mark.parametrize(
    ("line", "seen"),
    [
        (f'{{"text": {DIGITS}}}', "4,301 digits"),
        ('{"text": "a", "text": "b"}', 'the key "text" occurs twice'),
        ('{"text": ' + "[" * 20_000, "nested too deeply"),
        ('{"text": "a\0b"}', "NUL"),
    ],
    ids=["digits", "twice", "nested", "nul"],
)
def test_objects_on_standard_input_are_refused_with_their_line(run: Path, line: str, seen: str) -> None:
    said = bertune("predict", run, "-", stdin=f'{{"text": "fine"}}\n{line}\n')
    assert said.code == 3 and "Traceback" not in said.err and said.err.count("error: ") == 1, said.err
    assert "<stdin>, line 2" in said.err and seen in said.err


def test_endless_zeros_on_standard_input_are_refused_at_the_first_chunk(run: Path) -> None:
    said = bertune("predict", run, "-", stdin=b"\0" * (8 * MEBIBYTE))
    assert "<stdin>, line 1: there is a NUL byte at character 1" in only_error(said)
