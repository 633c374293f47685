"""Named data sets built from archives, from parts, or from files that the user has."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest
from published import Publisher, paths, tarred, zipped

from bertune.config import DataConfig
from bertune.data.named import _dataset, defaults
from bertune.data.tables import open_table
from bertune.errors import DataError

DATA = os.environ.get("BERTUNE_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="BERTUNE_DATA names no folder with the real data sets")


def rows(name: str, use: str, **more: Any) -> list[dict[str, Any]]:
    data = defaults(name).settings["data"]
    options = {key: value for key, value in data.items() if key not in ("train", "validation", "test")}
    return [dict(row.values) for row in open_table(data[use], DataConfig(**options, **more), ()).rows()]


def any_number(path: Path) -> str | None:
    return None


def unchecked(publisher: Publisher, name: str) -> None:
    publisher.check(name, train=any_number, validation=any_number, test=any_number)


def test_cmnli_omits_pairs_without_a_gold_label(publisher: Publisher) -> None:
    pairs = [("一", "二", "neutral"), ("三", "四", "-"), ("五", "六", "entailment")]
    content = "".join(
        json.dumps({"sentence1": a, "sentence2": b, "label": label}, ensure_ascii=False) + "\n"
        for a, b, label in pairs
    ).encode()
    members = {"train.json": content, "dev.json": content, "test.json": b"{}", "__MACOSX/._dev.json": b"x"}
    publisher.publish("cmnli", {"cmnli_public.zip": zipped(members)})
    publisher.check("cmnli", validation=_dataset.has_lines(2, columns=3))
    assert paths("cmnli")["train"].read_text() == "一\t二\tneutral\n五\t六\tentailment\n"
    assert [row["2"] for row in rows("cmnli", "validation")] == ["neutral", "entailment"]


def test_an_unexpected_cmnli_file_is_refused(publisher: Publisher) -> None:
    publisher.publish("cmnli", {"cmnli_public.zip": zipped({"train.json": b'{"a": 1}\n', "dev.json": b""})})
    with pytest.raises(DataError, match=r"cmnli_public\.zip, train\.json: not in the published format"):
        defaults("cmnli")


def passage(name: str, *answers: str) -> bytes:
    asked = [f"question {n}?" for n in range(len(answers))]
    options = [["w", "x", "y", "z"]] * len(answers)
    content = {"article": f"text of {name}", "questions": asked, "options": options, "answers": list(answers)}
    return json.dumps({**content, "id": name}).encode()


def test_a_split_of_race_is_a_list_of_numbered_passages(publisher: Publisher) -> None:
    members = {
        "RACE/train/middle/10.txt": passage("middle10.txt", "A"),
        "RACE/train/middle/9.txt": passage("middle9.txt", "D", "B"),
        "RACE/train/high/1.txt": passage("high1.txt", "C"),
        "RACE/dev/middle/2.txt": passage("middle2.txt", "B"),
        "RACE/test/middle/3.txt": passage("middle3.txt", "C"),
        "RACE/test/high/4.txt": passage("high4.txt", "D"),
    }
    for name in ("race_middle", "race"):
        publisher.publish(name, {"RACE.tar.gz": tarred(members)})
        unchecked(publisher, name)
    assert [row["label"] for row in rows("race_middle", "train")] == [3, 1, 0]
    assert [row["context"] for row in rows("race_middle", "test")] == ["text of middle3.txt"]
    assert [row["label"] for row in rows("race", "train")] == [3, 1, 0, 2]


def test_twenty_newsgroups_become_one_file_per_split(publisher: Publisher) -> None:
    members = {
        "20news-bydate-train/sci.med/58124": b"Subject: pain\n\nIt hurts \xe9.\n",
        "20news-bydate-train/sci.med/9": b"short",
        "20news-bydate-train/alt.atheism/1": b"no",
        "20news-bydate-test/rec.autos/7": b"a car",
    }
    publisher.publish("newsgroups", {"20news-bydate.tar.gz": tarred(members)})
    unchecked(publisher, "newsgroups")
    assert [row["id"] for row in rows("newsgroups", "train")] == [
        "alt.atheism/1",
        "sci.med/9",
        "sci.med/58124",
    ]
    assert rows("newsgroups", "train")[2]["text"] == "Subject: pain\n\nIt hurts é.\n"
    train = paths("newsgroups")["train"].read_bytes()
    assert train[4:8] == bytes(4), "a time in the header would make every copy differ"
    assert gzip.decompress(paths("newsgroups")["test"].read_bytes()).count(b"\n") == 1


def xnli_zips(number: int = 2) -> dict[str, bytes]:
    header = "language\tgold_label\tsentence1_binary_parse\tsentence1\tsentence2\tpromptID\n"
    table = header + "".join(
        f'{language}\tneutral\t( x )\t{language} "one" {n}\t{language} two {n}\t{n}\n'
        for language in ("ar", "zh")
        for n in range(number)
    )
    train = "premise\thypo\tlabel\n甲\t乙\tcontradictory\n丙\t丁\tneutral\n"
    return {
        "XNLI-1.0.zip": zipped({"XNLI-1.0/xnli.test.tsv": table.encode()}),
        "XNLI-MT-1.0.zip": zipped({"XNLI-MT-1.0/multinli/multinli.train.zh.tsv": train.encode()}),
        "dev-zh.tsv": "甲\t乙\tneutral\n".encode(),
    }


def test_each_language_of_xnli_has_three_tables(publisher: Publisher) -> None:
    publisher.publish("xnli_zh", xnli_zips())
    unchecked(publisher, "xnli_zh")
    assert [row["2"] for row in rows("xnli_zh", "train")] == ["contradiction", "neutral"]
    assert [row["0"] for row in rows("xnli_zh", "test")] == ['zh "one" 0', 'zh "one" 1']
    assert len(rows("xnli_zh", "validation")) == 1


def test_only_archives_of_missing_files_are_downloaded(
    publisher: Publisher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("xnli_zh", xnli_zips())
    unchecked(publisher, "xnli_zh")
    own = tmp_path / "own" / "xnli"
    own.mkdir(parents=True)
    for name in ("train-zh.tsv", "dev-zh.tsv"):
        (own / name).write_text("一\t二\tneutral\n")
    monkeypatch.setenv("BERTUNE_DATA", str(own.parent))
    for name in ("XNLI-MT-1.0.zip", "dev-zh.tsv"):
        (publisher.folder / name).unlink()
    found = paths("xnli_zh")
    assert (found["train"].parent, found["test"].name) == (own, "test-zh.tsv")


def test_an_unexpected_xnli_file_is_refused(publisher: Publisher) -> None:
    broken = {"XNLI-1.0/xnli.test.tsv": b"language\tgold_label\tsentence1\tsentence2\nzh\tneutral\tone\n"}
    publisher.publish("xnli_zh", xnli_zips() | {"XNLI-1.0.zip": zipped(broken)})
    unchecked(publisher, "xnli_zh")
    with pytest.raises(DataError, match=r"xnli\.test\.tsv, line 2: expected 4 columns, found 3"):
        defaults("xnli_zh")


def clinc(extra: int = 0) -> str:
    sizes = {
        "train": 15000 + extra,
        "oos_train": 100,
        "val": 3000,
        "oos_val": 100,
        "test": 4500,
        "oos_test": 1000,
    }
    parts = {
        part: [
            [f'say "{n}"\tnow', "oos" if part.startswith("oos") else f"intent {n % 150}"] for n in range(size)
        ]
        for part, size in sizes.items()
    }
    return json.dumps(parts)


def test_published_files_that_the_user_has_are_not_downloaded(
    publisher: Publisher, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher.publish("clinc150", {})
    own = tmp_path / "own" / "clinc150" / "data_full.json"
    own.parent.mkdir(parents=True)
    own.write_text(clinc())
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))
    assert paths("clinc150")["train"] == cache / "clinc150" / "train.jsonl"
    train = rows("clinc150", "train")
    assert (len(train), train[0]) == (15100, {"text": 'say "0"\tnow', "label": "intent 0"})
    assert sum(row["label"] == "oos" for row in rows("clinc150", "test")) == 1000
    assert own.is_file(), "the user's file stays"


def test_a_newer_file_of_the_user_replaces_the_built_one(
    publisher: Publisher, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = tmp_path / "own" / "clinc150" / "data_full.json"
    own.parent.mkdir(parents=True)
    own.write_text(clinc())
    monkeypatch.setenv("BERTUNE_DATA", str(tmp_path / "own"))
    built = paths("clinc150")["train"]
    own.write_text(clinc().replace("intent 0", "greeting"))
    os.utime(own, (built.stat().st_mtime + 10,) * 2)
    assert rows("clinc150", "train")[0]["label"] == "greeting"
    own.write_text(clinc(extra=1))
    os.utime(own, (built.stat().st_mtime + 20,) * 2)
    with pytest.raises(DataError, match=r"found at .*data_full\.json is not the published clinc150: train"):
        defaults("clinc150")


@needs_data
@pytest.mark.parametrize(
    ("name", "counts", "labels"),
    [
        ("clinc150", (15100, 3100, 5500), 151),
        ("c3", (11869, 3816, 3892), 4),
    ],
)
def test_the_published_parts_become_complete_splits(
    name: str, counts: tuple[int, ...], labels: int, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BERTUNE_DATA", str(DATA))
    found = [rows(name, use) for use in ("train", "validation", "test")]
    assert tuple(map(len, found)) == counts
    assert len({row["label"] for row in found[0]}) == labels
