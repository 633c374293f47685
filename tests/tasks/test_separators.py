"""Labels that are joined in a cell by another character than the comma."""

from typing import Any

import pytest

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.memory import table_from_memory
from bertune.errors import DataError
from bertune.tasks import make_task
from bertune.tasks.encoder import read_examples

COLUMNS = Columns(("text",), "labels", None)
CELLS = ["joy|fear", "joy", "fear|anger", "anger", ""]
GOLD = [("joy", "fear"), ("joy",), ("fear", "anger"), ("anger",), ()]


def read(cells: list[Any], task: Any = None, **options: Any) -> tuple[list[Any], Any]:
    """The gold labels of cells, and the task informed by them."""
    task = task or make_task(TaskConfig(name="multilabel", **options))
    table = table_from_memory([{"text": f"text {n}", "labels": cell} for n, cell in enumerate(cells)])
    examples = read_examples(table, task, COLUMNS)
    informed = task.informed(examples)
    return [example.gold for example in examples], informed.fit(examples)


@pytest.mark.parametrize("sign", ["|", ";", " ; ", "\n", "#", "、"])
def test_a_recurring_separator_is_detected_and_kept_for_other_files(sign: str) -> None:
    gold, fitted = read([cell.replace("|", sign) for cell in CELLS])
    assert gold == GOLD
    assert fitted.labels == ("anger", "fear", "joy")
    assert fitted.notes[0].startswith("labels: the label cells are split at ")
    assert read([f"anger{sign}joy"], fitted.task)[0] == [("anger", "joy")]


def test_separators_at_the_end_and_hashtags_are_not_part_of_the_labels() -> None:
    assert read([f"{cell}|" if cell else "" for cell in CELLS])[0] == GOLD
    assert read(["#joy #fear", "#joy", "#fear #anger", "#anger", ""])[0] == GOLD


@pytest.mark.parametrize(
    ("cells", "sign"),
    [
        (["Sci/Tech", "World", "R&B", "New York", "New Jersey", "C#", "F#"], ""),
        (["joy;fear", "anger", "joy;fear"], "';'"),  # may be one label
        (["joy fear", "joy", "fear anger", "anger"], "' '"),
        (["joy/fear", "joy", "fear/anger", "anger"], "'/'"),
    ],
)
def test_other_labels_are_kept_with_a_note_if_they_may_be_several(cells: list[str], sign: str) -> None:
    gold, fitted = read(cells)
    assert gold == [(cell,) for cell in cells]
    assert len(fitted.notes) == bool(sign)
    assert all(f"set task.separator={sign}" in note for note in fitted.notes)


def test_a_separator_that_is_set_or_a_comma_in_a_cell_is_the_only_one() -> None:
    assert read(CELLS, separator=",")[0][0] == ("joy|fear",)
    assert read([*CELLS, "joy,calm"])[0][0] == ("joy|fear",)


def test_a_duplicate_label_between_separators_is_refused() -> None:
    with pytest.raises(DataError, match=r'line 6: duplicate label "joy"'):
        read([*CELLS, "joy|joy"])
