"""Tables with one word per row: grouping into sentences, locations of errors, predictions per row."""

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import transformers

from bertune import api
from bertune.config import TaskConfig
from bertune.errors import DataError
from bertune.source import resolve_source
from bertune.tasks import make_task
from bertune.tasks.token_classification.reading import Example
from bertune.training.preparing import fit_task
from bertune.training.reading import Tables, read

KAGGLE = """Sentence #,Word,POS,Tag
Sentence: 1,Ada,NNP,B-per
,left,VBD,O
,Oslo,NNP,B-geo
Sentence: 2,Bo,NNP,B-per
,1966,CD,O
"""
SENTENCES = [(("Ada", "left", "Oslo"), ("B-per", "O", "B-geo")), (("Bo", "1966"), ("B-per", "O"))]


def tables(source: Any, **settings: Any) -> Tables:
    return read(resolve_source(source, {"task.name": "ner", **settings}))


def sentences(source: Any, **settings: Any) -> list[tuple[tuple[str, ...], Any]]:
    """The words and tags of each example that a source gives."""
    examples: list[Example] = tables(source, **settings).examples["train"]
    return [(tuple(e.texts[0][a:b] for a, b in e.words), e.gold) for e in examples]


def written(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


def test_every_format_gives_the_same_sentences(tmp_path: Path) -> None:
    kaggle = written(tmp_path / "a.csv", KAGGLE)
    frame = pd.read_csv(kaggle)
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_json(tmp_path / "a.jsonl", orient="records", lines=True)
    frame.ffill().to_csv(tmp_path / "a.tsv", sep="\t", index=False)
    for source in (kaggle, frame, *(str(tmp_path / f"a.{end}") for end in ("parquet", "jsonl", "tsv"))):
        assert sentences(source) == SENTENCES, source


@pytest.mark.parametrize(
    "name",
    [
        "Sentence #",
        "sentence",
        "sentence_id",
        "sent_id",
        "sentence_idx",
        "SentenceNo",
        "sent",
        "Satz-Nr",
        "句子编号",
    ],
)
def test_usual_column_names_are_recognized_and_others_can_be_set(name: str) -> None:
    rows = [
        {name: n, "word": w, "tag": t}
        for n, (w, t) in enumerate(SENTENCES)
        for w, t in zip(w, t, strict=True)
    ]
    assert sentences(rows) == SENTENCES
    other = [{"Satz": row[name], "Wort": row["word"], "Marke": row["tag"]} for row in rows]
    settings = {"data.text": "Wort", "data.label": "Marke", "task.sentence": "Satz"}
    assert sentences(other, **settings) == SENTENCES
    with pytest.raises(
        DataError, match=r'column "Saz" \(task\.sentence=Saz\) was not found\. Did you mean "Satz"\?'
    ):
        sentences(other, **{**settings, "task.sentence": "Saz"})


def test_sentence_numbers_can_restart_in_each_document() -> None:
    rows = [
        {"doc_id": doc, "sent_id": 0, "token": token, "ner": "B-X"}
        for doc, token in zip("aab", "xyz", strict=True)
    ]
    assert [words for words, _ in sentences(rows)] == [("x", "y"), ("z",)]
    renamed = [{"file": row["doc_id"], **{k: v for k, v in row.items() if k != "doc_id"}} for row in rows]
    assert [words for words, _ in sentences(renamed, **{"task.sentence": "file,sent_id"})] == [
        ("x", "y"),
        ("z",),
    ]


def test_a_sentence_in_each_row_is_not_grouped() -> None:
    texts = [{"sentence_id": n // 2, "words": "Ada left Oslo", "tags": "B-per O B-geo"} for n in range(4)]
    lists = [{"sentence_id": 0, "tokens": ["Ada"], "tags": ["B-per"]} for _ in range(4)]
    single = [{"sentence_id": n, "words": "Ada", "tags": "B-per"} for n in range(4)]
    grouped = [{"sentence_id": 0, "words": "Ada", "tags": "B-per"} for n in range(4)]
    assert [len(sentences(rows)) for rows in (texts, lists, single)] == [4, 4, 4]
    assert len(sentences(grouped)) == 1
    assert len(sentences(grouped, **{"task.sentence": "none"})) == 4
    with pytest.raises(
        DataError, match=r'1: column "tokens" contains a list, but task\.sentence=sentence_id'
    ):
        sentences(lists, **{"task.sentence": "sentence_id"})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",,NNP,B-geo", r'a\.csv, line 4: the word in column "Word" is missing, .*keep_default_na=False'),
        (",Oslo,NNP,", r'a\.csv, line 4: the tag of the word "Oslo" in column "Tag" is missing'),
        (",Oslo,NNP,I-geo", r'a\.csv, line 4: "Oslo": the tag "I-geo" is invalid in BIO'),
    ],
)
def test_errors_have_the_line_of_the_word(tmp_path: Path, line: str, message: str) -> None:
    path = written(tmp_path / "a.csv", KAGGLE.replace(",Oslo,NNP,B-geo", line))
    with pytest.raises(DataError, match=message):
        fit_task(tables(path))


def test_rows_without_word_and_tag_are_skipped(tmp_path: Path) -> None:
    path = written(tmp_path / "a.csv", KAGGLE.replace("Sentence: 2", ",,,\nSentence: 2"))
    assert sentences(path) == SENTENCES


@pytest.mark.parametrize("empty", ["NaN", "nan", "NULL", "None", "<NA>", "#N/A", "\\N"])
def test_empty_cells_of_the_sentence_column_can_be_written_as_nan(tmp_path: Path, empty: str) -> None:
    lines = [f"{empty}{line}" if line.startswith(",") else line for line in KAGGLE.splitlines()]
    assert sentences(written(tmp_path / "a.csv", "\n".join(lines))) == SENTENCES


def test_single_word_texts_are_an_error_with_a_remedy(tmp_path: Path) -> None:
    rows = [{"word": f"w{n}", "tag": "B-X"} for n in range(19)] + [{"word": "two words", "tag": "O O"}]
    with pytest.raises(
        DataError, match=r"19 of 20 texts are single words\. .*task\.sentence .*data\.reader=conll"
    ):
        fit_task(tables(rows))
    task = make_task(TaskConfig(name="ner"))
    examples = tables(rows).examples["train"]
    fitted = task.fitted(("O", "B-X", "I-X"), scheme="bio")
    with pytest.raises(DataError, match="19 of 20 texts are single words"):
        fitted.for_scoring(examples)
    free = make_task(TaskConfig(name="ner", sentence="none"))
    assert free.fit(examples).labels == ("O", "B-X", "I-X")
    assert (
        len(examples[:19]) == 19 and task.fit(examples[:19]).labels
    )  # few texts can be single words by chance


@pytest.fixture(scope="module")
def trained(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained on a table with one word per row and IO tags."""
    folder = tmp_path_factory.mktemp("words")
    lines = ["Satz\tword\ttag"]
    for number, word in enumerate(("box", "lamp", "pen", "phone", "cup", "case", "door", "lock") * 2):
        lines += [f"s{number}\tthe\tO", f"\t{word}\tX", f"\t{word}\tX", "\tis\tO", "\tgreat\tO"]
    source = written(folder / "train.tsv", "\n".join(lines) + "\n")
    settings: Mapping[str, Any] = {
        "task.name": "ner", "task.sentence": "Satz", "data.validation": source,
        "model.name": str(tiny_weights), "train.epochs": 20, "train.lr": 5e-3, "train.batch_size": 8,
        "machine.device": "cpu", "machine.precision": "fp32", "model.dropout": 0,
    }  # fmt: skip
    run = api.train(source, settings=settings, out=folder / "run")
    assert run.scores["f1"] == 1
    return folder / "run"


def test_every_row_of_a_predicted_file_gets_a_tag(trained: Path, tmp_path: Path) -> None:
    model = api.load(trained)
    path = written(tmp_path / "a.csv", "Satz,word,tag\n7,the,?\n7,box,?\n7,box,?\n,,\n8,the,?\n8,cup,?\n")
    counts = model.predict_file(path, tmp_path / "out.csv")
    assert (counts.rows, counts.blank) == (6, 1)
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["tag"] for row in rows] == ["O", "X", "X", "", "O", "X"]
    assert [row["word"] for row in rows] == ["the", "box", "box", "", "the", "cup"]
    assert rows[0]["tag_given"] == "?"
    objects = [{"sentence_id": n // 3, "word": word} for n, word in enumerate(["the", "box", "box"] * 2)]
    stream = tmp_path / "a.jsonl"
    stream.write_text("".join(json.dumps(row) + "\n" for row in objects), encoding="utf-8")
    with stream.open(encoding="utf-8") as lines, (tmp_path / "out.jsonl").open("w", encoding="utf-8") as out:
        model.predict_file(lines, out)
    written_lines = (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["tag"] for line in written_lines] == ["O", "X", "X"] * 2
    assert [p.tags for p in model.predict(objects)] == [["O", "X", "X"]] * 2


def test_a_model_trained_on_word_rows_predicts_texts_and_evaluates_tables(
    trained: Path, tmp_path: Path
) -> None:
    model = api.load(trained)
    (found,) = model.predict(["the box box is great"])
    assert [(span["text"], span["label"]) for span in found.spans] == [("box box", "X")]
    other = written(tmp_path / "b.csv", "sent_id,token,ner\n1,the,O\n1,pen,X\n1,pen,X\n2,lamp,X\n2,is,O\n")
    evaluation = model.evaluate(other)
    assert evaluation.num_examples == 2
    assert [line["source"] for line in evaluation.lines] == [f"{other}, line 2", f"{other}, line 5"]


def test_words_without_sentences_are_not_predicted_one_by_one(trained: Path, tmp_path: Path) -> None:
    words = ["the", "box", "is", "great"] * 6
    path = written(tmp_path / "a.csv", "".join(f"{word}\n" for word in ("word", *words)))
    with pytest.raises(DataError, match=r"24 of 24 texts are single words\. .*task\.sentence=none"):
        api.load(trained).predict_file(path, tmp_path / "out.csv")
    free = api.load(trained, settings={"task.sentence": "none"})
    assert free.predict_file(path, tmp_path / "out.csv").rows == 24
    assert len(api.load(trained).predict(words)) == 24, "a list of texts is not checked"


def test_transformers_finds_the_same_entities(trained: Path) -> None:
    pipeline = transformers.pipeline(
        "token-classification", model=str(trained / "model"), aggregation_strategy="simple", device="cpu"
    )
    assert [(e["entity_group"], e["word"]) for e in pipeline("the box box is great")] == [("X", "box box")]
