"""Multi-hot label vectors: distinguished from label numbers, label names, and errors for invalid rows."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import Columns
from bertune.data.memory import table_from_memory
from bertune.data.tables import Table, open_table
from bertune.errors import DataError
from bertune.tasks import make_task
from bertune.tasks.encoder import read_examples
from tiny import QUICK, bertune

COLUMNS = Columns(("text",), "labels", None)
VECTORS = [[0, 0, 1], [1, 1, 0], [0, 0, 0], [0, 1, 1]]
GOLD = [("c",), ("a", "b"), (), ("b", "c")]


def table(cells: list[Any]) -> Table:
    rows = [{"text": f"text {number}", "labels": cell} for number, cell in enumerate(cells)]
    return table_from_memory(rows, "a.csv")


def read(source: Table, **options: Any) -> tuple[list[Any], Any]:
    """The gold labels of a table, and the task fitted to it."""
    task = make_task(TaskConfig(name="multilabel", **options))
    examples = read_examples(source, task, COLUMNS)
    return [example.gold for example in examples], task.informed(examples)


FORMS: dict[str, Any] = {
    "list": lambda v: v,
    "json": str,
    "numpy text": lambda v: str(np.array(v)),
    "numpy text of floats": lambda v: str(np.array(v, float)),
    "spaces": lambda v: " ".join(map(str, v)),
    "commas": lambda v: ",".join(map(str, v)),
    "array": np.array,
    "booleans": lambda v: [bool(x) for x in v],
    "upper-case booleans": lambda v: [str(bool(x)).upper() for x in v],
    "written booleans": lambda v: str([bool(x) for x in v]),
    "floats": lambda v: [float(x) for x in v],
    "texts": lambda v: [str(x) for x in v],
    "tuple": tuple,
    "written tuple": lambda v: str(tuple(v)),
    "written array": lambda v: repr(np.array(v, float)),
    "written tensor": lambda v: f"tensor({v})",
    "semicolons": lambda v: ";".join(map(str, v)),
    "vertical bars": lambda v: "|".join(map(str, v)),
    "slashes": lambda v: "/".join(map(str, v)),
    "hyphens": lambda v: "-".join(map(str, v)),
    "PostgreSQL": lambda v: "{" + ",".join(map(str, v)) + "}",
    "digits": lambda v: "".join(map(str, v)),
    "binary numbers": lambda v: "0b" + "".join(map(str, v)),
    "digits after an apostrophe": lambda v: "'" + "".join(map(str, v)),
    "letters": lambda v: " ".join("FT"[x] for x in v),
    "letters without spaces": lambda v: "".join("FT"[x] for x in v),
    "answers": lambda v: ",".join(("no", "yes")[x] for x in v),
    "initials of answers": lambda v: ";".join("NY"[x] for x in v),
    "signs": lambda v: [2 * x - 1 for x in v],
    "written signs": lambda v: " ".join(str(2 * x - 1) for x in v),
    "signed floats": lambda v: ";".join(str(2.0 * x - 1) for x in v),
}


def test_a_label_named_minus_one_is_not_a_vector() -> None:
    assert read(table(["-1", "1", "-1,1"]))[0] == [("-1",), ("1",), ("-1", "1")]


@pytest.mark.parametrize("form", FORMS)
def test_a_vector_is_read_by_position_in_every_notation(form: str) -> None:
    cells = [FORMS[form](vector) for vector in VECTORS]
    gold, task = read(table(cells), names="a,b,c")
    assert gold == GOLD
    unnamed, fitted = read(table(cells))
    assert unnamed == [("2",), ("0", "1"), (), ("1", "2")]
    assert fitted.options.names == ("0", "1", "2")
    assert task.options.label_format == "multi_hot"


def test_a_parquet_column_of_lists_equals_a_csv_file(tmp_path: Path) -> None:
    frame = pd.DataFrame({"text": ["x", "y", "z", "u"], "labels": VECTORS})
    frame.to_parquet(tmp_path / "a.parquet")
    frame.to_csv(tmp_path / "a.csv", index=False)
    for name in ("a.parquet", "a.csv"):
        assert read(open_table(tmp_path / name, DataConfig(), {"text"}), names="a,b,c")[0] == GOLD


@pytest.mark.parametrize(
    ("cells", "gold"),
    [
        ([[0, 2], [1], []], [("0", "2"), ("1",), ()]),
        ([[0, 1], [0, 1]], [("0", "1"), ("0", "1")]),  # without repeated values, these may be label numbers
        ([[0], [1]], [("0",), ("1",)]),
        (["0,1", "1"], [("0", "1"), ("1",)]),
        (["0-1", "2-3", "0-1"], [("0-1",), ("2-3",), ("0-1",)]),  # ranges
    ],
)
def test_ambiguous_cells_are_read_as_label_indices(cells: list[Any], gold: Any) -> None:
    found, task = read(table(cells))
    assert found == gold
    assert task.options.label_format == "auto"


@pytest.mark.parametrize(
    ("cells", "names", "gold"),
    [
        (["0010", "0020"], None, [("0010",), ("0020",)]),  # codes
        (["0010,0100", "0100"], None, [("0010", "0100"), ("0100",)]),
        (["1", "10", "11", "2"], None, [("1",), ("10",), ("11",), ("2",)]),
        (["10", "11"], ",".join("abcdefghijkl"), [("k",), ("l",)]),
        (["10", "11"], "a,b", [("a",), ("a", "b")]),
        (["100", "110"], None, [("0",), ("0", "1")]),
        ([10, 11], "a,b", [("a",), ("a", "b")]),
    ],
)
def test_digits_are_vectors_only_if_the_column_allows_it(cells: list[Any], names: Any, gold: Any) -> None:
    assert read(table(cells), names=names)[0] == gold


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["10", "11"], r'line 1: .* "10" is ambiguous: a vector of 2 entries, or the label "10"\.'),
        (
            ["10", "1", "110"],
            r'line 3: .* "110" is ambiguous: a vector from which zeros .*label_format=names',
        ),
        (["0010", "010"], r"line 2: the vector .* has 3 entries\. Expected 4, as in a\.csv, line 1"),
        (["0010", "0110", ""], r"line 3: the labels are not a vector of 0 and 1"),
    ],
)
def test_digits_that_may_be_names_are_refused_with_both_readings(cells: list[str], message: str) -> None:
    with pytest.raises(DataError, match=rf"^a\.csv, {message}"):
        read(table(cells))
    for label_format in ("names", "multi_hot"):
        if "ambiguous" in message and len({len(cell) for cell in cells}) == 1:
            read(table(cells), label_format=label_format)


def test_a_model_of_label_indices_reads_a_file_with_one_index() -> None:
    _, trained = read(table(["1", "10", "11,2"]))
    assert read_examples(table(["10"]), trained, COLUMNS)[0].gold == ("10",)


def test_a_setting_resolves_ambiguous_columns() -> None:
    assert read(table([[0, 1], [1, 0]]), label_format="multi_hot")[0] == [("1",), ("0",)]
    with pytest.raises(DataError, match=r"line 1: .*task\.label_format=names"):
        read(table(VECTORS), label_format="names")


def test_a_file_with_one_row_is_read_like_the_training_file() -> None:
    _, trained = read(table([[0, 1], [1, 1]]), names="a,b")
    examples = read_examples(table([[1, 0]]), trained, COLUMNS)
    assert examples[0].gold == ("a",)
    with pytest.raises(DataError, match=r"line 1: the vector .* has 3 entries\. Expected 2, .*a, b"):
        read_examples(table([[1, 0, 0]]), trained, COLUMNS)
    with pytest.raises(DataError, match=r"line 2: the labels are not a vector .*task\.label_format=names"):
        read_examples(table([[1, 0], ["a"]]), trained, COLUMNS)


def test_a_model_of_named_vectors_reads_files_with_the_names() -> None:
    _, trained = read(table([[0, 1], [1, 1]]), names="joy,fear")
    examples = read_examples(table([["fear"], [], "joy,fear"]), trained, COLUMNS)
    assert [example.gold for example in examples] == [("fear",), (), ("joy", "fear")]


def test_one_hot_vectors_of_two_labels_are_not_lists_of_both() -> None:
    assert read(table([[0, 1], [1, 0], [0, 1]]), names="a,b")[0] == [("b",), ("a",), ("b",)]


def test_an_object_marks_its_labels_with_1() -> None:
    cells = [{"joy": 1, "fear": 0}, "{'joy': True, 'fear': 1.0}", {"fear": 0}]
    assert read(table(cells))[0] == [("joy",), ("joy", "fear"), ()]
    assert read(table(['{"choices": ["joy", "fear"]}', "joy"]))[0] == [("joy", "fear"), ("joy",)]
    with pytest.raises(DataError, match=r'line 1: column "labels" holds an object.* 0 or 1 for each label'):
        read(table([{"joy": 0.7}]))


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([[0, 0, 1], [1, 0]], r"line 2: the vector .* has 2 entries\. Expected 3, as in a\.csv, line 1"),
        ([[0, 0, 1], [0, 1, 1], []], r"line 3: the labels are not a vector of 0 and 1, as in a\.csv, line 1"),
        ([[0, 2], [1, 1], [0]], r'line 2: duplicate label "1"'),
        ([["joy"], ["fear"], [True, False]], r"line 3: .* booleans .* but a\.csv, line 1 has label names"),
        (["[100]", "[010]"], r'line 2: column "labels" begins like a list .* cannot be read'),
        ([[0.5, 1.0], [0.0, 1.0]], r"line 1: .* is not a list of label names"),
    ],
)
def test_an_inconsistent_row_is_refused(cells: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=rf"^a\.csv, {message}"):
        read(table(cells))


def test_the_number_of_names_must_equal_the_number_of_entries() -> None:
    with pytest.raises(DataError, match=r"line 1: .* 3 entries\. Expected 2, one per label \(a, b\)"):
        read(table(VECTORS), names="a,b")


def test_a_label_without_texts_is_kept() -> None:
    source = table([[0, 0, 1, 0], [1, 0, 0, 0], [1, 0, 1, 0]])
    _, task = read(source)
    fitted = task.fit(read_examples(source, task, COLUMNS))
    assert fitted.labels == ("0", "1", "2", "3")
    assert any("4 entries" in note and "task.names" in note for note in fitted.notes)


def test_the_command_trains_and_evaluates_on_vectors(tiny_weights: Path, tmp_path: Path) -> None:
    words = {"great": [1, 0, 0], "dull": [0, 1, 0], "slow": [0, 1, 1], "table": [0, 0, 0]}
    rows = [(f"it was {word} {i}", words[word]) for i in range(6) for word in words]
    file = tmp_path / "train.csv"
    pd.DataFrame(rows, columns=["text", "labels"]).to_csv(file, index=False)
    run = tmp_path / "run"
    bertune(
        "train", file, "task.name=multilabel", "task.names=good,bad,late", f"model.name={tiny_weights}",
        *QUICK, "--out", run,
    ).fine()  # fmt: skip
    (predicted,) = bertune("predict", run, "-", stdin="it was great\n").fine().lines
    assert list(predicted["probabilities"]) == ["good", "bad", "late"]
    one = tmp_path / "one.jsonl"
    one.write_text('{"text": "it was slow", "labels": [0, 1, 1]}\n')
    assert bertune("evaluate", run, one, "--json").fine().json["examples"] == 1
    one.write_text('{"text": "it was slow", "labels": [0, 1]}\n')
    refused = bertune("evaluate", run, one)
    assert refused.code == 3 and "has 2 entries. Expected 3" in refused.err


def test_a_suggested_label_can_replace_the_vector_in_the_file() -> None:
    source = table(VECTORS)
    task = make_task(TaskConfig(name="multilabel", names="a,b,c"))
    examples = read_examples(source, task, COLUMNS)
    fitted = task.informed(examples).fit(examples)
    given, suggested = fitted.suggested_label(None, examples[0], [0, 2], [0])
    assert (given, suggested) == ("[0, 0, 1]", "[1, 0, 0]")
    assert read(table([suggested, *VECTORS[1:]]), names="a,b,c")[0][0] == ("a",)
