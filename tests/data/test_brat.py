"""brat's standoff format: folders of texts and their entities."""

from pathlib import Path
from typing import Any

import pytest

from bertune.config import DataConfig, TaskConfig
from bertune.data.columns import choose_columns
from bertune.data.tables import open_table
from bertune.errors import DataError
from bertune.tasks import make_task

ENTITIES = "T1\tPER 0 12\tAda Lovelace\nR1\tknows Arg1:T1 Arg2:T2\nT2\tLOC 22 28\tLondon\n#1\tNote T1\tx\n"


def read(folder: Path, **files: str) -> list[Any]:
    """The parsed examples of a folder with these files; __ stands for the dot of a name."""
    for name, content in files.items():
        (folder / name.replace("__", ".")).write_text(content, encoding="utf-8", newline="")
    task = make_task(TaskConfig(name="token_classification"))
    table = open_table(folder, DataConfig(), ())
    columns, _ = choose_columns(table, DataConfig(), task.columns, True)
    return [task.parse(row, columns) for row in table.rows()]


def test_every_text_has_the_entities_of_its_annotations(tmp_path: Path) -> None:
    text = "Ada\nLovelace lived in London ."
    first, second = read(tmp_path, a__txt=text, a__ann=ENTITIES, b__txt="nobody", b__ann="", README="x")
    assert [(text[s["start"] : s["end"]], s["label"]) for s in first.gold] == [
        ("Ada\nLovelace", "PER"),
        ("London", "LOC"),
    ]
    assert second.gold == ()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("T1\tPER 0 3;5 7\tAda in", r"a\.ann, line 1: the entity is discontinuous \(0 3;5 7\)"),
        ("T1 PER 0 3 Ada", r"a\.ann, line 1: expected an entity such as"),
        ("T1\tPER 0 3\tBob", r'a\.txt, line 1: the span "PER" from character 0 to 3 should be "Bob"'),
    ],
)
def test_an_invalid_entity_is_named(line: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(tmp_path, a__txt="Ada in Rome", a__ann=line)


def test_annotations_without_a_text_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"b\.ann: there is no text b\.txt"):
        read(tmp_path, a__txt="Ada", a__ann="", b__ann="")
