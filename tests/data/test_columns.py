"""Column selection, the errors for missing or ambiguous columns, and cells as text."""

import datetime
import decimal
import io
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig
from bertune.data.columns import ColumnNames, Columns, cell_text, choose_columns
from bertune.data.rows import Origin, Row
from bertune.data.tables import Table, open_lines, open_table
from bertune.errors import DataError

TEXTS = (
    ("text",),
    ("sentence",),
    ("sentence1", "sentence2"),
    ("question", "sentence"),
    ("query", "title"),
    ("title",),
    ("#1 String", "#2 String"),
    ("review",),
)
NAMES = ColumnNames(TEXTS, ("label", "stars", "quality", "title"))


def table(columns: Sequence[str], values: Sequence[Any] = (), has_header: bool = True) -> Table:
    cells = [*values, *(f"{column} cell" for column in columns[len(values) :])]
    row = Row(dict(zip(columns, cells, strict=True)), Origin("reviews.csv", 2))
    return Table("reviews.csv", tuple(columns), has_header, lambda: iter([row]))


def choose(
    source: Table, need_label: bool = True, names: ColumnNames = NAMES, **options: object
) -> tuple[Columns, tuple[str, ...]]:
    return choose_columns(source, DataConfig.model_validate(options), names, need_label)


def refusal(source: Table, need_label: bool = True, names: ColumnNames = NAMES, **options: object) -> str:
    with pytest.raises(DataError) as caught:
        choose(source, need_label, names, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("columns", "text", "label"),
    [
        (("text", "label"), ("text",), "label"),
        (("id", "Review ", "Stars"), ("Review ",), "Stars"),
        (("sentence2", "sentence1", "label"), ("sentence1", "sentence2"), "label"),
        (("sentence1", "text", "label"), ("text",), "label"),
        (("question", "sentence", "label"), ("question", "sentence"), "label"),
        (("Quality", "#1 ID", "#2 ID", "#1 String", "#2 String"), ("#1 String", "#2 String"), "Quality"),
        (("query", "title", "label"), ("query", "title"), "label"),
    ],
)
def test_columns_with_known_names_are_chosen_and_noted(
    columns: tuple[str, ...], text: tuple[str, ...], label: str
) -> None:
    chosen, notes = choose(table(columns))
    assert chosen == Columns(text, label, None)
    assert notes == (
        f"reviews.csv: text column{'s' if len(text) > 1 else ''}: "
        + ", ".join(f'"{column}"' for column in text),
        f'reviews.csv: label column: "{label}"',
    )


def test_given_columns_are_used_and_not_noted() -> None:
    chosen, notes = choose(
        table(("a", "b", "key", "text", "label")), text=("b", "a"), label="key", id="label"
    )
    assert chosen == Columns(("b", "a"), "key", "label") and notes == ()


@pytest.mark.parametrize(
    ("given", "column"),
    [
        ("Review", "Review"),
        ("review", "review"),
        (" OTHER ", "Other"),
        ("0", "Review"),
        ("3", "3"),
        ("4", "end"),
    ],
)
def test_a_column_is_found_by_name_then_any_case_then_number(given: str, column: str) -> None:
    chosen, _ = choose(table(("Review", "review", "Other", "3", "end")), need_label=False, text=given)
    assert chosen.text == (column,)


def test_a_column_set_as_label_or_id_is_not_inferred_as_text() -> None:
    chosen, _ = choose(table(("text", "review")), label="review")
    assert chosen == Columns(("text",), "review", None)
    chosen, _ = choose(table(("text", "review", "label")), id="text")
    assert chosen == Columns(("review",), "label", "text")


def test_without_a_known_text_column_the_error_shows_the_columns_and_a_setting() -> None:
    source = table(("opinion", "grade"), ["what a great phone, " * 9, 5])
    message = refusal(source)
    assert message.startswith("reviews.csv: could not identify the text column.")
    assert '\n  opinion = "what a great phone, what a great phone' in message
    assert "\n  grade = 5\n" in message and max(map(len, message.split("\n"))) < 100
    assert message.endswith("data.text=opinion data.label=grade")
    assert refusal(source, need_label=False).endswith("data.text=opinion")


def test_the_suggested_setting_has_as_many_text_columns_as_the_task_takes() -> None:
    pairs = replace(NAMES, text=(("query", "document"),), num_texts=(2,))
    source = table(("who", "asked", "found", "grade"), ["bo", "where is it", "it is right here", 2])
    message = refusal(source, names=pairs)
    assert "could not identify the 2 text columns" in message
    assert message.endswith("for example: data.text=asked,found data.label=grade")
    assert refusal(source, False, names=pairs, id="found").endswith("data.text=who,asked")
    lonely = refusal(table(("text",)), names=pairs)
    assert lonely.endswith(
        "The task takes 2 text columns, and the table has 1 column. Use another table or task"
    )


def test_first_lines_that_could_be_names_are_suggested_as_the_task_uses_them() -> None:
    pairs = replace(NAMES, num_texts=(2, 3))
    source = table(("0", "1", "2"), ["question", "reply", "grade"], has_header=False)
    assert "use them: data.text=question,reply data.label=grade\n" in refusal(source, names=pairs)
    assert "use them: data.text=question,reply\n" in refusal(source, False, names=pairs)


def test_several_possible_text_columns_are_refused() -> None:
    message = refusal(table(("text", "review", "label")))
    assert 'several columns could be the text: "text"; "review"' in message and "data.text=" in message


def test_columns_of_flags_are_suggested_as_labels() -> None:
    message = refusal(table(("text", "id", "joy", "fear"), ["a", "7", "1", "0"]))
    assert "set task.name=multilabel task.columns=joy,fear. If one of them is the label, set it" in message
    assert "task.columns" not in refusal(table(("text", "grade", "joy"), ["a", "5", "1"]))


def test_no_or_several_possible_label_columns_are_refused_when_one_is_needed() -> None:
    message = refusal(table(("text", "grade")))
    assert "could not identify the label column" in message and "data.label=grade" in message
    message = refusal(table(("text", "stars", "label")))
    assert 'several columns could be the label: "label", "stars"' in message
    assert "Use a file with labels" in refusal(table(("text",)))
    chosen, notes = choose(table(("text", "stars", "label")), need_label=False)
    assert chosen.label is None and len(notes) == 1


def test_a_text_column_is_not_also_inferred_as_the_label() -> None:
    chosen, _ = choose(table(("query", "title")), need_label=False)
    assert chosen == Columns(("query", "title"), None, None)


def test_a_given_label_may_be_missing_where_none_is_needed() -> None:
    chosen, _ = choose(table(("text", "stars")), need_label=False, label="grade")
    assert chosen.label is None
    chosen, _ = choose(table(("text", "stars")), need_label=False, label="stars")
    assert chosen.label == "stars"


@pytest.mark.parametrize("key", ["text", "label", "id"])
def test_an_unknown_column_is_answered_with_the_nearest_name_and_all_columns(key: str) -> None:
    message = refusal(table(("text", "label", "reviewer")), **{key: "reviewr"})
    assert f'no column "reviewr" (data.{key}=reviewr). Did you mean "reviewer"?' in message
    assert '\n  label = "label cell"' in message


def test_a_column_number_out_of_range_is_answered_with_the_range() -> None:
    assert "Column numbers range from 0 to 1" in refusal(table(("text", "label")), text="2")


def test_an_unknown_column_of_a_table_without_header_is_compared_with_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("opinion,grade\ngood,5\n")
    options = DataConfig.model_validate({"text": "opinon"})
    message = refusal(open_table(path, options, ()), text="opinon")
    assert 'Did you mean "opinion"?' in message and "data.text=opinion" in message


def test_one_column_cannot_be_used_twice() -> None:
    assert '"text" is used twice' in refusal(table(("text", "label")), text="text", label="0")
    assert '"text" is used twice' in refusal(table(("text", "label")), text="text,text")


def test_choosing_columns_consumes_no_row_of_a_stream() -> None:
    stream = open_lines(io.StringIO('{"text": "a"}\n{"text": "b"}\n'), "<stdin>", ("text",))
    choose(stream, need_label=False)
    assert [row.values["text"] for row in stream.rows()] == ["a", "b"]


def row(value: object) -> Row:
    return Row({"text": value}, Origin("a.jsonl", 7))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("  as it is\n", "  as it is\n"),
        ("很好 👍", "很好 👍"),
        (1, "1"),
        (1.0, "1"),
        (-2.5, "-2.5"),
        (1e20, "1" + "0" * 20),
        (float("nan"), ""),
        (float("inf"), "inf"),
        (True, "true"),
        (False, "false"),
        (None, ""),
        (decimal.Decimal("5.00"), "5"),
        (decimal.Decimal("NaN"), ""),
        (datetime.date(2020, 2, 1), "2020-02-01"),
    ],
)
def test_a_cell_is_read_as_text(value: object, text: str) -> None:
    assert cell_text(row(value), "text") == text


@pytest.mark.parametrize(
    ("value", "kind"), [(["a", "b"], "a list"), ({"a": 1}, "an object"), (b"bytes", "a bytes")]
)
def test_a_nested_cell_is_refused_with_its_line(value: object, kind: str) -> None:
    with pytest.raises(DataError) as caught:
        cell_text(row(value), "text")
    message = str(caught.value)
    assert message.startswith(f'a.jsonl, line 7: column "text" contains {kind} instead of text')
    assert repr(value) in message and "data.text=" in message


def test_an_unpaired_surrogate_is_refused_with_its_position() -> None:
    with pytest.raises(
        DataError,
        match=r"a.jsonl, line 7: column \"text\" contains half a character.*'\\ud83d', at position 3",
    ):
        cell_text(row("abc\ud83d"), "text")


def test_a_cell_of_an_unknown_column_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"a.jsonl, line 7: there is no column \"txt\". Did you mean \"text\"\?"
    ):
        cell_text(row("a"), "txt")


def test_a_stream_without_a_known_text_column_is_refused_like_a_file() -> None:
    stream = open_lines(io.StringIO('{"opinion": "a"}\n'), "<stdin>", ())
    assert 'opinion = "a"' in refusal(stream, need_label=False)
