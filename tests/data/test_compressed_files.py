"""Compressed files: gzip, bzip2, xz, and zip archives with one data file."""

import bz2
import lzma
import zipfile
from pathlib import Path

import pytest

from bertune.config import DataConfig
from bertune.data.formats import file_suffix
from bertune.data.tables import open_table
from bertune.errors import DataError

CSV = "text,label\ngood,a\nbad,b\n"
ROWS = [{"text": "good", "label": "a"}, {"text": "bad", "label": "b"}]


def rows(path: Path) -> list[dict[str, object]]:
    return [dict(row.values) for row in open_table(path, DataConfig(), ("text", "label")).rows()]


def zipped(path: Path, **members: str) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_bzip2_and_xz_are_read_like_the_unpacked_file(tmp_path: Path) -> None:
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(CSV.encode()))
    (tmp_path / "a.TSV.XZ").write_bytes(lzma.compress(CSV.replace(",", "\t").encode()))
    assert rows(tmp_path / "a.csv.bz2") == rows(tmp_path / "a.TSV.XZ") == ROWS
    assert file_suffix(tmp_path / "a.TSV.XZ") == ".tsv"


def test_the_only_data_file_of_a_zip_archive_is_read(tmp_path: Path) -> None:
    mac = {"data/a.csv": CSV, "data/README.txt": "x", "__MACOSX/data/._a.csv": "x", "data/.DS_Store": "x"}
    assert rows(zipped(tmp_path / "a.zip", **mac)) == ROWS
    assert rows(zipped(tmp_path / "hidden.zip", **{"_data.csv": CSV})) == ROWS
    lines = zipped(tmp_path / "b.jsonl.zip", **{"b.jsonl": '{"text": "good", "label": "a"}\n'})
    assert rows(lines) == ROWS[:1]
    assert file_suffix(tmp_path / "a.zip") == ".csv"
    tagged = zipped(tmp_path / "c.zip", **{"train.txt": "John B-PER\nsings O\n\nRome B-LOC\n"})
    assert rows(tagged)[0] == {"tokens": ["John", "sings"], "tags": ["B-PER", "O"]}


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"train.csv": CSV, "test.csv": CSV}, r"one data file, found train\.csv, test\.csv\. Unpack it"),
        ({}, r"one data file, found no files"),
    ],
)
def test_a_zip_archive_without_a_single_data_file_is_refused(
    members: dict[str, str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=message):
        rows(zipped(tmp_path / "a.zip", **members))


def test_a_damaged_zip_archive_and_other_archives_are_named(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", **{"a.csv": CSV * 50})
    whole = path.read_bytes()
    path.write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"a\.zip is not a zip file, or is corrupt or truncated at its end"):
        rows(path)
    path.write_bytes(whole[:40] + bytes(8) + whole[48:])
    with pytest.raises(DataError, match=r"a\.zip is not a zip file, or is corrupt or truncated after line"):
        rows(path)
    (tmp_path / "a.csv.zst").write_bytes(b"x")
    with pytest.raises(
        DataError, match=r"a\.csv\.zst is compressed in a format that cannot be read\. Unpack"
    ):
        rows(tmp_path / "a.csv.zst")


def test_a_bomb_in_any_compression_is_refused(tmp_path: Path) -> None:
    content = "text,label\n" + 12 * ("a" * 1_000_000 + ",b\n")
    (tmp_path / "a.csv.bz2").write_bytes(bz2.compress(content.encode(), 1))
    for path in (tmp_path / "a.csv.bz2", zipped(tmp_path / "b.zip", **{"b.csv": content})):
        with pytest.raises(DataError, match=r"more than 100 times as many.* decompression bomb"):
            rows(path)
