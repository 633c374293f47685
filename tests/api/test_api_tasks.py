"""Every task accepts data from Python: lists, data frames, Parquet, and lists of words."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import bertune as bt
from bertune import registry
from bertune.config import TaskConfig
from bertune.errors import DataError
from bertune.tasks import make_task
from trainings import train

Settings = Callable[..., dict[str, Any]]
WORDS = [["EU", "rejects", "German", "call"], ["Ada", "sings"], ["in", "Oslo", "it", "snows"]] * 4
TAGS = [["B-ORG", "O", "B-MISC", "O"], ["B-PER", "O"], ["O", "B-LOC", "O", "O"]] * 4


@pytest.fixture(params=registry.names("task"))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rows(name: str) -> list[dict[str, Any]]:
    """The sample of the task."""
    return [dict(row) for row in make_task(TaskConfig(name=name)).sample]


def prepared(source: object, labels: Any, overrides: dict[str, Any]) -> tuple[str, tuple[str, ...]]:
    """The texts and gold labels of a source in any form, and the labels of the task."""
    found = bt.check(source, labels, settings=overrides)
    return found.audit["data"]["splits"]["train"]["sha256"], found.encoder.fitted.labels


def test_the_sample_is_the_same_as_dicts_lists_a_data_frame_and_parquet(
    name: str, rows: list[dict[str, Any]], settings: Settings, tmp_path: Path
) -> None:
    import pandas as pd

    overrides = settings(**{"task.name": name})
    expected = prepared({"train": rows, "validation": rows}, None, overrides)
    columns = bt.check(rows, settings=overrides).columns
    texts = [row[columns.text[0]] if len(columns.text) == 1 else _tuple(row, columns.text) for row in rows]
    labels = None if columns.label is None else [row[columns.label] for row in rows]
    split = texts if labels is None else (texts, labels)
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "rows.parquet")
    read_again = pd.read_parquet(tmp_path / "rows.parquet")  # lists have become arrays
    for data in (split, frame, read_again):
        assert prepared({"train": data, "validation": data}, None, overrides) == expected
    of_file = {**overrides, "data.validation": str(tmp_path / "rows.parquet")}
    assert prepared(tmp_path / "rows.parquet", None, of_file) == expected
    bt.check(texts, labels, settings=overrides)


def _tuple(row: dict[str, Any], columns: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(row[column] for column in columns)


@pytest.fixture(scope="module")
def tagger(tiny_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> bt.Run:
    """A token classification model trained on lists of words."""
    overrides = {"task.name": "token_classification", "model.name": str(tiny_weights), "train.epochs": 1}
    return train(WORDS, tmp_path_factory.mktemp("runs") / "words", overrides, labels=TAGS)[0]


def test_a_list_of_words_is_a_single_text(tagger: bt.Run) -> None:
    import numpy as np

    model = bt.load(tagger)
    (found,) = model.predict([["EU", "rejects", "U.S. lamb"]])
    assert found.words == ["EU", "rejects", "U.S. lamb"], "taken as they are, not cut again"
    assert len(found.tags) == 3
    joined = "EU rejects U.S. lamb"
    assert all(joined[span["start"] : span["end"]] == span["text"] for span in found.spans)
    for other in (("EU", "rejects", "U.S. lamb"), np.array(["EU", "rejects", "U.S. lamb"])):
        assert model.predict([other]) == [found]
    assert [len(p.words) for p in model.predict(["EU rejects", "it"])] == [2, 1]
    assert model.predict([["EU"], [], " ", None])[1:] == [None, None, None]


@pytest.mark.parametrize("item", [["EU", 3], 3, [["EU"], ["rejects"]]])
def test_anything_but_a_text_or_words_is_refused(tagger: bt.Run, item: Any) -> None:
    with pytest.raises(DataError, match="this model takes a text or a list of words") as caught:
        bt.load(tagger).predict([item])
    assert repr(item) in str(caught.value)


def test_a_list_of_words_is_refused_by_a_model_for_plain_texts(run: bt.Run) -> None:
    with pytest.raises(DataError, match=r"item 0 of the list is \['great', 'phone'\]; .* takes a text$"):
        bt.load(run).predict([["great", "phone"]])


def test_a_different_number_of_words_and_tags_is_refused_with_the_row(settings: Settings) -> None:
    with pytest.raises(DataError, match=r"row 2|line 2"):
        bt.check(
            WORDS, [TAGS[0], ["O"], *TAGS[2:]], settings=settings(**{"task.name": "token_classification"})
        )


def test_columns_of_a_data_frame_are_texts_and_labels(settings: Settings) -> None:
    import pandas as pd

    frame = pd.DataFrame({"said": ["great phone", "dull lamp"] * 10, "mood": ["good", "bad"] * 10})
    found = bt.check(frame["said"], frame["mood"], settings=settings())
    assert found.encoder.fitted.labels == ("bad", "good")
    assert bt.check(list(frame["said"]), list(frame["mood"]), settings=settings()).audit == found.audit


def test_texts_without_labels_are_refused_if_labels_are_required(settings: Settings) -> None:
    with pytest.raises(DataError, match=r"(?s)could not identify the label column.*list of labels") as caught:
        bt.check(["great phone", "dull lamp"], settings=settings())
    assert 'text = "great phone"' in str(caught.value)


def test_named_columns_take_precedence_over_those_of_lists(settings: Settings) -> None:
    with pytest.raises(DataError, match='no column "review"'):
        bt.check(["great phone"], ["good"], settings=settings(**{"data.text": "review"}))


def test_choices_in_a_data_frame_can_be_arrays_inside_an_object(settings: Settings) -> None:
    """The form in which pandas reads the Parquet files of ARC and CommonsenseQA."""
    import numpy as np
    import pandas as pd

    choices = {"label": np.array(["A", "B"], object), "text": np.array(["at home", "at work"], object)}
    rows = [{"question": f"where ? {i}", "choices": choices, "answerKey": "AB"[i % 2]} for i in range(6)]
    found = bt.check(
        pd.DataFrame(rows),
        settings=settings(**{"task.name": "multiple_choice", "data.validation_fraction": 0.3}),
    )
    assert found.splits["train"].examples[0].choices == ("at home", "at work")
    assert {e.gold for part in found.splits.values() for e in part.examples} == {0, 1}


def test_training_triplets_can_be_combined_with_scored_validation_pairs(settings: Settings) -> None:
    triplets = [(f"great phone {i}", f"lovely phone {i}", f"dull lamp {i}") for i in range(6)]
    scored = [(f"great {i}", f"dull {i}") for i in range(6)], [float(i % 3) for i in range(6)]
    overrides = settings(**{"task.name": "embeddings"})
    found = bt.check({"train": triplets, "validation": scored}, settings=overrides)
    assert {len(e.texts) for e in found.splits["train"].examples} == {3}
    assert [e.gold for e in found.splits["validation"].examples] == scored[1]


def test_a_model_can_be_evaluated_on_lists_and_tables(run: bt.Run) -> None:
    texts, labels = ["great phone", "dull lamp", "broken table"], ["good", "bad", "bad"]
    of_table = bt.evaluate(run, [{"text": t, "label": g} for t, g in zip(texts, labels, strict=True)])
    assert bt.evaluate(run, (texts, labels)).scores == of_table.scores
    with pytest.raises(DataError, match="could not identify the label column"):
        bt.evaluate(run, texts)
