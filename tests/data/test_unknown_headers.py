"""The first line of a single column, and files with an unknown suffix."""

from pathlib import Path

import pytest

from bertune import api
from bertune.config import DataConfig
from bertune.data.tables import Table, open_table
from bertune.errors import DataError

TEXTS = "the room was lovely\nthe lamp was dull\n"


def opened(path: Path, content: str, likely: bool = True, **options: object) -> Table:
    path.write_text(content, encoding="utf-8")
    return open_table(path, DataConfig.model_validate(options), ("text",), likely_header=likely)


@pytest.mark.parametrize("header", ["Kommentar", "xyz", "body_text", "Feedback"])
def test_a_short_name_above_longer_texts_is_a_header_and_that_is_noted(tmp_path: Path, header: str) -> None:
    table = opened(tmp_path / "a.csv", f"{header}\n{TEXTS}")
    assert table.columns == (header,) and [row.origin.line for row in table.rows()] == [2, 3]
    assert table.notes[1] == (
        f'{table.name}: line 1, "{header}", is read as the header; if it is a text, set data.header=false'
    )


def test_a_chinese_header_is_recognised_by_its_length(tmp_path: Path) -> None:
    assert opened(tmp_path / "a.csv", "评论\n手机很好用，推荐\n屏幕太暗了\n").columns == ("评论",)


@pytest.mark.parametrize(
    "first", ["the lamp was dull", "Great!", "42", "a rather long first text that is no name", "lovely room"]
)
def test_a_first_text_is_a_row(tmp_path: Path, first: str) -> None:
    table = opened(tmp_path / "a.csv", f"{first}\n{TEXTS}")
    assert table.columns == ("0",) and len(list(table.rows())) == 3


def test_a_first_line_above_short_texts_is_a_row_and_that_is_noted(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", "great\nbad\nawful\n")
    assert len(list(table.rows())) == 3 and "if it is a header, set data.header=true" in table.notes[1]


def test_a_question_above_answers_is_a_row_and_that_is_noted(tmp_path: Path) -> None:
    question = "Question 5: what did you like?"
    table = opened(tmp_path / "a.csv", f"{question}\n{TEXTS}")
    assert len(list(table.rows())) == 3
    assert table.notes[1].endswith(
        f'line 1, "{question}", is read as a text; if it is a header, set data.header=true'
    )
    assert len(opened(tmp_path / "b.csv", f"{'so ' * 40}\n{TEXTS}").notes) == 1, "too long for a name"


def test_the_name_that_pandas_gives_to_a_series_is_a_header(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.csv", f"0\n{TEXTS}")
    assert len(list(table.rows())) == 2 and 'line 1, "0", is read as the header' in table.notes[1]
    assert len(list(opened(tmp_path / "a.csv", "0\n1\n2\n").rows())) == 3


def test_a_likely_header_of_plain_text_is_a_row_and_that_is_noted(tmp_path: Path) -> None:
    table = opened(tmp_path / "a.txt", f"Kommentar\n{TEXTS}")
    assert len(list(table.rows())) == 3 and '"Kommentar", is read as a text' in table.notes[1]
    assert len(opened(tmp_path / "a.txt", f"the room was lovely\n{TEXTS}").notes) == 1


def test_data_header_decides_and_only_a_model_with_column_names_makes_a_header_likely(tmp_path: Path) -> None:
    path, content = tmp_path / "a.csv", f"xyz\n{TEXTS}"
    assert len(list(opened(path, content, header=False).rows())) == 3
    assert len(list(opened(path, f"a long text is here\n{TEXTS}", header=True).rows())) == 2
    assert len(list(opened(path, content, likely=False).rows())) == 3
    assert len(list(opened(tmp_path / "a.txt", content).rows())) == 3, "plain text has no header"


def test_the_same_rule_applies_to_a_text_column_set_by_number(tmp_path: Path) -> None:
    content = "nr;Kommentar\n1;the room was lovely\n2;the lamp was dull\n"
    assert len(list(opened(tmp_path / "a.csv", content, text="1").rows())) == 2


TAGGED = "EU B-ORG\nrejects O\n\nAda B-PER\nsings O\n\n" * 8


def test_files_with_an_unknown_suffix_are_read_like_the_training_file(
    tmp_path: Path, tiny_folder: Path
) -> None:
    for name in ("train.conll", "dev.annotated", "test"):
        (tmp_path / name).write_text(TAGGED)
    settings = {
        "task.name": "ner",
        "model.name": str(tiny_folder),
        "train.epochs": 1,
        "data.validation": str(tmp_path / "dev.annotated"),
        "data.test": str(tmp_path / "test"),
    }
    run = api.train(tmp_path / "train.conll", settings=settings, out=tmp_path / "run")
    assert run.manifest["data"]["splits"]["test"]["rows"] == 16
    model = api.load(run)
    (tmp_path / "new.raw").write_text("Ada\nsings\n\nEU\n")
    assert len(model.predict(tmp_path / "new.raw")) == 2
    assert api.evaluate(model, tmp_path / "dev.annotated").num_examples == 16


def test_a_file_with_an_unknown_suffix_has_the_delimiter_of_the_training_file(tmp_path: Path) -> None:
    path = tmp_path / "a.dat"
    path.write_text("text\tlabel\none, two\t1\nthree, four\t0\n")
    table = open_table(path, DataConfig(), ("text",), like=".tsv")
    assert table.columns == ("text", "label")
    with pytest.raises(DataError, match=r'has the suffix "\.dat", which is not a known format'):
        open_table(path, DataConfig(), ("text",), like=".other")
