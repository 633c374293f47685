"""Files in the formats of spaCy, written by spaCy itself."""

import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.tables import open_table
from bertune.errors import DataError, MissingPackageError

WRITE = """
import sys, spacy
from spacy.tokens import DocBin
nlp = spacy.blank("xx")
ada = nlp("Ada King lives in 😀 Paris.")
ada.ents = [ada.char_span(0, 8, "PER"), ada.char_span(20, 25, "LOC")]
none = nlp("It rained.")
none.ents = []
DocBin(docs=[ada, none, nlp("Nobody looked here.")]).to_disk(sys.argv[1])
"""


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("spacy") / "train.spacy"
    subprocess.run([sys.executable, "-c", WRITE, str(path)], check=True, timeout=300)
    return path


def rows(path: Path) -> list[Any]:
    return list(open_table(path, DataConfig(), ()).rows())


def test_documents_have_their_entities_as_spans_of_the_text(written: Path) -> None:
    found = rows(written)
    assert [row.values["text"] for row in found] == [
        "Ada King lives in 😀 Paris.", "It rained.", "Nobody looked here.",
    ]  # fmt: skip
    first, none, unknown = (row.values["spans"] for row in found)
    assert first == [{"start": 0, "end": 8, "label": "PER"}, {"start": 20, "end": 25, "label": "LOC"}]
    assert none == []
    assert unknown is None
    assert str(found[2].origin).endswith("train.spacy, document 3")


@pytest.mark.parametrize("content", [b"junk", zlib.compress(b""), zlib.compress(b"\x91\x01")])
def test_what_spacy_did_not_write_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.spacy").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.spacy: not a spaCy DocBin file, or corrupt: .*DocBin"):
        rows(tmp_path / "a.spacy")


def test_a_file_that_ends_too_early_is_refused(written: Path, tmp_path: Path) -> None:
    (tmp_path / "a.spacy").write_bytes(written.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"a\.spacy: not a spaCy DocBin file, or corrupt"):
        rows(tmp_path / "a.spacy")


def test_without_spacy_the_error_says_what_to_do(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with pytest.raises(
        MissingPackageError, match=r"train\.spacy.* pip install 'bertune\[spacy\]'.*doc\.to_json"
    ):
        rows(written)
