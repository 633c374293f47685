"""Parts of published files keep the format of the file and contain the selected units."""

import csv
import gzip
import importlib
import json
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def slices() -> Iterator[ModuleType]:
    """benchmarks/slices.py as a module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("slices")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def write(folder: Path, name: str, content: str) -> None:
    raw = content.encode()
    (folder / name).write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)


def test_a_whole_part_is_the_original_file(slices: ModuleType, tmp_path: Path, out: Path) -> None:
    write(tmp_path, "all.tsv", "a\tb\n")
    assert slices.place(slices.Part("all.tsv", "lines"), tmp_path, out, "train") == tmp_path / "all.tsv"


def test_every_nth_row_is_selected_and_the_header_is_kept(
    slices: ModuleType, tmp_path: Path, out: Path
) -> None:
    write(
        tmp_path, "rows.tsv", 'text\tlabel\n"a\t0\nb\t1\nc\t0\nd\t1'
    )  # a bare quote, no end of the last line
    part = slices.Part("rows.tsv", "headed", start=1, step=2)
    assert slices.place(part, tmp_path, out, "train").read_text() == "text\tlabel\nb\t1\nd\t1\n"


def test_records_with_line_breaks_stay_whole(slices: ModuleType, tmp_path: Path, out: Path) -> None:
    write(tmp_path, "reviews.csv.gz", 'id,text\n1,"one\ntwo, ""three"""\n2,four\n3,five\n')
    path = slices.place(slices.Part("reviews.csv.gz", "csv", stop=2), tmp_path, out, "train")
    assert path.name == "train.csv"
    assert list(csv.reader(path.read_text().splitlines(keepends=True))) == [
        ["id", "text"],
        ["1", 'one\ntwo, "three"'],
        ["2", "four"],
    ]


def test_texts_become_documents_with_blank_lines_between(
    slices: ModuleType, tmp_path: Path, out: Path
) -> None:
    write(tmp_path, "reviews.csv", 'id,text\n1,"one\n\ntwo"\n2,three\n')
    path = slices.place(slices.Part("reviews.csv", "documents"), tmp_path, out, "train")
    assert (path.name, path.read_text()) == ("train.txt", "one two\n\nthree\n")


def test_document_markers_are_not_counted_as_sentences(slices: ModuleType, tmp_path: Path, out: Path) -> None:
    write(tmp_path, "t.txt", "-DOCSTART- O\n\nEU B-ORG\nsays O\n\n-DOCSTART- O\n\nBo B-PER\n\nno O\n")
    path = slices.place(slices.Part("t.txt", "conll", stop=2), tmp_path, out, "train")
    assert path.read_text() == "EU B-ORG\nsays O\n\nBo B-PER\n"


def squad(*contexts: str) -> dict[str, Any]:
    paragraphs = [
        {"context": text, "qas": [{"id": f"{text}-{n}", "question": "?", "answers": []} for n in (1, 2)]}
        for text in contexts
    ]
    return {"version": "1.1", "data": [{"title": "T", "paragraphs": paragraphs}]}


def test_questions_are_counted_and_stay_with_their_contexts(
    slices: ModuleType, tmp_path: Path, out: Path
) -> None:
    (tmp_path / "q.json").write_text(json.dumps(squad("long one", "a", "b")))
    part = slices.Part("q.json", "squad", start=1, most_characters=3)
    (article,) = json.loads(slices.place(part, tmp_path, out, "x").read_text())["data"]
    found = [(p["context"], [q["id"] for q in p["qas"]]) for p in article["paragraphs"]]
    assert (article["title"], found) == ("T", [("a", ["a-2"]), ("b", ["b-1", "b-2"])])


def test_dialogues_are_selected_by_length(slices: ModuleType, tmp_path: Path, out: Path) -> None:
    dialogues = [[["a", "b"], [], "1"], [["long ago"], [], "2"], [["c"], [], "3"]]
    (tmp_path / "d.json").write_text(json.dumps(dialogues))
    part = slices.Part("d.json", "dream", most_characters=3)
    assert json.loads(slices.place(part, tmp_path, out, "x").read_text()) == [dialogues[0], dialogues[2]]


def test_an_empty_part_is_refused(slices: ModuleType, tmp_path: Path, out: Path) -> None:
    write(tmp_path, "rows.tsv", "a\nb\n")
    with pytest.raises(ValueError, match=r"rows\.tsv: .* selects no units"):
        slices.place(slices.Part("rows.tsv", "lines", start=2), tmp_path, out, "x")


def test_a_full_part_still_excludes_held_out_data(slices: ModuleType) -> None:
    full = slices.Part("q.json", "squad", stop=6, step=3, most_characters=9, full_stop=8).in_full()
    assert full == slices.Part("q.json", "squad", stop=8, full_stop=8)
    assert slices.Part("q.json", "squad", stop=6).in_full().is_whole
