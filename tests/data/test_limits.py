"""Limits on input files: gzip bombs, overlong lines and records, NUL bytes, in every encoding."""

import gzip
import os
import random
import zlib
from pathlib import Path

import pytest

from bertune.data import byte_streams, encodings
from bertune.data.encodings import open_bytes, text_lines, whole_text
from bertune.errors import DataError


def lines_of(path: Path, encoding: str = "auto", **limits: int) -> list[str]:
    return list(text_lines(path, encoding, **limits))


@pytest.mark.parametrize(
    "encoding", ["auto", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "gb18030", "cp500"]
)
@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_a_line_up_to_the_limit_is_read_and_a_longer_one_refused(
    tmp_path: Path, encoding: str, end: str
) -> None:
    path = tmp_path / "a.txt"
    codec = "utf-8" if encoding == "auto" else encoding
    width = len("xx".encode(codec)) - len("x".encode(codec))
    lines = ["x" * 90_000 + end] * 9
    path.write_bytes("".join(lines).encode(codec))
    # Blocks are checked as a whole, so a line may exceed the limit by one block.
    assert lines_of(path, encoding, longest=100_000 * width) == lines
    path.write_bytes("".join(["short" + end, "x" * 300_000]).encode(codec))
    with pytest.raises(DataError, match=r"a\.txt, line 2: the line is longer than"):
        lines_of(path, encoding, longest=100_000 * width)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-be", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("before", range(5))
def test_reading_stops_at_the_first_nul_character_in_every_encoding(
    tmp_path: Path, encoding: str, before: int
) -> None:
    path = tmp_path / "a.txt"
    text = "fine\n" + "é" * before + "\0" * 500_000
    path.write_bytes(text.encode(encoding))
    with pytest.raises(DataError, match=f"line 2: there is a NUL byte at character {before + 1} "):
        lines_of(path, encoding)


def test_a_gzip_file_is_refused_where_it_becomes_a_bomb(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    draw = random.Random(1)
    harmless = "".join(f"{draw.getrandbits(64):x}\n" for _ in range(10_000)).encode()
    path.write_bytes(gzip.compress(harmless + b"x\n" * 40_000_000))
    with pytest.raises(DataError, match=r"a\.txt\.gz: .* more than 100 times .* unpack it yourself"):
        for _ in text_lines(path, "auto"):
            pass
    assert os.path.getsize(path) * 100 < 40_000_000


def test_texts_that_compress_well_are_read(tmp_path: Path) -> None:
    path = tmp_path / "a.txt.gz"
    content = b"the same short line\n" * 400_000  # 8 MB, 300 times the compressed size
    path.write_bytes(gzip.compress(content))
    assert len(lines_of(path)) == 400_000
    with open_bytes(path) as file:
        assert file.read() == content


def test_a_gzip_file_that_must_fit_in_memory_is_measured_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.json.gz"
    path.write_bytes(gzip.compress(os.urandom(5000).hex().encode()))
    assert len(whole_text(path, "auto")) == 10_000
    monkeypatch.setattr(byte_streams, "_COUNTED_FROM", 100)
    monkeypatch.setattr(byte_streams, "LARGEST_WHOLE", 9_000)
    with pytest.raises(DataError, match=r"when unpacked.*JSON Lines"):
        whole_text(path, "auto")


def test_utf16_without_a_byte_order_mark_is_refused_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("text,label\n".encode("utf-16-le"))
    with pytest.raises(DataError, match=r"a\.csv, line 1: the file is not utf-16 .*data\.encoding"):
        lines_of(tmp_path / "a.csv", "utf-16")


def test_corruption_that_is_found_while_locating_a_wrong_byte_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt.gz"
    path.write_bytes(gzip.compress(b"fine\ncaf\xe9\n"))

    def damaged(path: Path, codec: str) -> object:
        raise zlib.error("invalid distance too far back")

    monkeypatch.setattr(encodings, "_find_bad_byte", damaged)
    with pytest.raises(DataError, match=r"a\.txt\.gz .*corrupt or truncated after line 0 \(invalid distance"):
        lines_of(path)


def test_a_file_that_changes_while_it_is_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    path.write_bytes(b"caf\xe9\n")
    found = encodings._find_bad_byte

    def repaired(path: Path, codec: str) -> object:
        path.write_text("fine\n")
        return found(path, codec)

    monkeypatch.setattr(encodings, "_find_bad_byte", repaired)
    with pytest.raises(DataError, match="changed while bertune was reading it"):
        lines_of(path)
