"""Files as published, or as common tools write them: SWAG, row indices, tagged words, plain text."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest

from bertune import api
from bertune.config import DataConfig
from bertune.data.rows import Row
from bertune.data.tables import Table, open_table
from bertune.errors import DataError

NAMES = ("text", "label")
SWAG = (
    "video-id", "fold-ind", "startphrase", "sent1", "sent2", "gold-source",
    "ending0", "ending1", "ending2", "ending3", "label",
)  # fmt: skip
ROWS = [
    ("anet_1", "4", "She sits. He", "She sits.", "He", "gold", "leaves, so.", "sings.", "eats.", "is out.", i)
    for i in (0, 3, 2, 1)
]  # fmt: skip


def write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8", newline="")
    return path


def rows(path: Path, content: str, **options: Any) -> list[Row]:
    return list(opened(path, content, **options).rows())


def opened(path: Path, content: str, **options: Any) -> Table:
    return open_table(write(path, content), DataConfig.model_validate(options), NAMES)


def as_csv(header: tuple[str, ...], body: list[tuple[Any, ...]], index: bool) -> str:
    """A table written by pandas, with or without row numbers in an unnamed column."""
    file = io.StringIO()
    numbered = [(number, *row) for number, row in enumerate(body)] if index else body
    csv.writer(file, lineterminator="\n").writerows([("", *header) if index else header, *numbered])
    return file.getvalue()


@pytest.mark.parametrize("index", [True, False], ids=["as published", "without the index"])
def test_swag_is_read_as_it_is_published(tmp_path: Path, index: bool, tiny_weights: Path) -> None:
    file = write(tmp_path / "train.csv", as_csv(SWAG, ROWS, index))
    overrides = {
        "task.name": "multiple_choice",
        "model.name": str(tiny_weights),
        "data.validation": str(file),
    }
    found = api.check(file, settings=overrides)
    assert found.columns.text == ("sent1", "sent2", "ending0", "ending1", "ending2", "ending3")
    assert [e.gold for e in found.splits["train"].examples] == [0, 3, 2, 1]
    example = found.splits["train"].examples[0]
    assert (example.context, example.question) == ("She sits.", "He")
    assert example.choices == ("leaves, so.", "sings.", "eats.", "is out.")


def test_swag_from_the_hub_and_without_labels_is_predicted(tmp_path: Path, tiny_weights: Path) -> None:
    train = [dict(zip(SWAG, row, strict=True)) for row in ROWS]
    overrides = {"task.name": "multiple_choice", "model.name": str(tiny_weights), "train.epochs": 1}
    run = api.train({"train": train, "validation": train}, settings=overrides, out=tmp_path / "run")
    hidden = [row[:-1] for row in ROWS]
    file = write(tmp_path / "test.csv", as_csv(SWAG[:-1], hidden, index=True))
    of_file = api.predict(run, file)
    assert [p.index in range(4) for p in of_file] == [True] * 4
    columns = ("sent1", "sent2", "ending0", "ending1", "ending2", "ending3")
    items = [tuple(row[name] for name in columns) for row in train]
    assert api.load(run).predict(items) == of_file, "a tuple has the choices one by one"


def test_a_first_column_without_a_name_is_column_0(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", ",text,label\n7,great,1\n8,bad,0\n")
    assert table.columns == ("0", "text", "label")
    assert [row.values["0"] for row in table.rows()] == ["7", "8"]


@pytest.mark.parametrize("header", ["text,label,", "text,,label", ",,text"])
def test_another_column_without_a_name_is_refused(tmp_path: Path, header: str) -> None:
    with pytest.raises(DataError, match=r"a\.csv, line 1: the header has no name for column \d"):
        rows(tmp_path / "a.csv", f"{header}\na,b,c\n")


TAGGED = "-DOCSTART- -X- O O\n\nEU NNP B-NP B-ORG\nrejects VBZ B-VP O\n\nAda NNP B-NP B-PER\n"


@pytest.mark.parametrize("text", [TAGGED, TAGGED.replace(" ", "\t"), TAGGED.replace("\n", "\r\n")])
def test_tagged_words_in_a_txt_file_are_recognised_by_their_tags(tmp_path: Path, text: str) -> None:
    found = rows(tmp_path / "train.txt", text)
    assert [row.values["tokens"] for row in found] == [["EU", "rejects"], ["Ada"]]
    assert [row.values["tags"] for row in found] == [["B-ORG", "O"], ["B-PER"]]


@pytest.mark.parametrize(
    "text",
    [
        "great phone\tO\ndull lamp\tB\n",  # a table whose labels look like tags, without blank lines
        "text\tlabel\n\ngreat\tO\n",
        "EU NNP\nrejects VBZ\n\nAda NNP\n",  # tags of another notation
        "it was O\nso B\n\nthen it went on\n",
        "vitamin\tB\n\nvitamin\tE\n",  # blank lines, but no O tag
    ],
)
def test_other_txt_files_stay_tables(tmp_path: Path, text: str) -> None:
    assert all("tokens" not in row.values for row in rows(tmp_path / "a.txt", text))


PROSE = "The first document\ngoes on here.\n\nThe second one.\n"


def test_the_error_for_plain_text_lists_the_ways_to_read_it(tmp_path: Path, tiny_weights: Path) -> None:
    file = write(tmp_path / "corpus.txt", PROSE)
    overrides = {"task.name": "language_modelling", "model.name": str(tiny_weights)}
    with pytest.raises(DataError) as caught:
        api.check(file, settings=overrides)
    message = str(caught.value)
    assert "corpus.txt: could not identify the text column" in message
    assert "data.text=0 (one text per line)" in message and "data.reader=documents" in message
    assert "data.label=" not in message, "one column cannot be both"
    for more, num in (({"data.text": "0"}, 3), ({"data.reader": "documents"}, 2)):
        found = api.check(file, settings={**overrides, **more, "data.validation_fraction": 0.3})
        assert sum(split["rows"] for split in found.audit["data"]["splits"].values()) == num


def test_a_model_trained_on_documents_reads_new_files_as_documents(
    tmp_path: Path, tiny_weights: Path
) -> None:
    file = write(tmp_path / "corpus.txt", PROSE * 2)
    overrides = {"task.name": "language_modelling", "model.name": str(tiny_weights), "train.epochs": 1}
    overrides |= {"data.reader": "documents", "data.validation": str(file)}
    run = api.train(file, settings=overrides, out=tmp_path / "run")
    assert len(api.predict(run, write(tmp_path / "more.txt", PROSE))) == 2


def test_a_jsonl_file_that_is_one_list_suggests_the_json_reader(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.jsonl, line 1: not valid JSON.*data\.reader=json"):
        rows(tmp_path / "a.jsonl", json.dumps([{"text": "a"}], indent=1))


TREEBANK = """# sent_id = weblog-1
# text = Vámonos al mar.
1-2\tVámonos\t_\t_\t_\t_\t_\t_\t_\t_
1\tVamos\tir\tVERB\t_\t_\t0\troot\t_\t_
2\tnos\tnosotros\tPRON\t_\t_\t1\tobj\t_\t_
2.1\tya\tya\tADV\t_\t_\t_\t_\t1:advmod\t_
3\tal\tal\tADP\t_\t_\t4\tcase\t_\t_

1\tSí\tsí\tINTJ\t_\t_\t0\troot\t_\tSpaceAfter=No
2\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_
"""


def test_a_treebank_is_read_as_words_and_parts_of_speech(tmp_path: Path, tiny_weights: Path) -> None:
    found = rows(tmp_path / "es.conllu", TREEBANK)
    assert [tuple(row.values.values()) for row in found] == [
        ("weblog-1", ["Vamos", "nos", "al"], ["VERB", "PRON", "ADP"]),
        ("9", ["Sí", "."], ["INTJ", "PUNCT"]),
    ]
    assert [row.origin.line for row in found] == [4, 9]
    overrides = {
        "task.name": "token_classification",
        "model.name": str(tiny_weights),
        "data.validation_fraction": 0.5,
    }
    assert api.check(tmp_path / "es.conllu", settings=overrides).encoder.fitted.labels == (
        "ADP", "INTJ", "PRON", "PUNCT", "VERB",
    )  # fmt: skip


def test_a_treebank_without_parts_of_speech_has_no_tags(tmp_path: Path) -> None:
    bare = "1\tSí\t_\t_\t_\t_\t_\t_\t_\t_\n"
    assert rows(tmp_path / "a.conllu", bare)[0].values["tags"] is None


@pytest.mark.parametrize("line", ["Bo B-PER", "1\tSí\tsí", "x" + "\ta" * 9])
def test_an_invalid_line_of_a_treebank_is_refused(tmp_path: Path, line: str) -> None:
    with pytest.raises(DataError, match=r"a\.conllu, line 10: expected ten columns"):
        rows(tmp_path / "a.conllu", f"{TREEBANK[:-1]}".replace("2\t.\t.\tPUNCT\t_\t_\t1\tpunct\t_\t_", line))
