"""Classification: label order, errors in rows with their location, loss and predictions."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from bertune.config import TaskConfig
from bertune.data.columns import Columns
from bertune.data.rows import Origin, Row
from bertune.errors import ConfigError, DataError
from bertune.nn.batch import collate
from bertune.tasks import make_task
from bertune.tasks.classification.task import (
    Classification,
    Example,
    FittedClassification,
    LabelPrediction,
)
from bertune.text.tokenizer import Tokenizer

COLUMNS = Columns(("text",), "label", None)


def task(**options: Any) -> Classification:
    made = make_task(TaskConfig(name="classification", **options))
    assert isinstance(made, Classification)
    return made


def fitted(*labels: str, **options: Any) -> FittedClassification:
    made = task(**options).fitted(labels)
    assert isinstance(made, FittedClassification)
    return made


def examples(golds: Sequence[str | None]) -> list[Example]:
    return [
        Example(str(i), Origin("reviews.csv", i + 2), (f"text {i}",), gold) for i, gold in enumerate(golds)
    ]


def parse(values: dict[str, Any], columns: Columns = COLUMNS) -> Example:
    parsed = task().parse(Row(values, Origin("reviews.csv", 7)), columns)
    assert isinstance(parsed, Example)
    return parsed


@pytest.mark.parametrize(
    ("found", "order"),
    [
        (["10", "9", "2", "10"], ("2", "9", "10")),
        (["b", "a", "C"], ("C", "a", "b")),
        (["x", "10", "2"], ("2", "10", "x")),
        (["-1", "1", "0"], ("-1", "0", "1")),
        (["0.5", "0.25"], ("0.25", "0.5")),
        (["好", "坏"], ("坏", "好")),
    ],
)
def test_labels_are_in_natural_order(found: list[str], order: tuple[str, ...]) -> None:
    assert task().fit(examples(found)).labels == order
    assert task().fit(examples(found[::-1])).labels == order


@pytest.mark.parametrize("label", ["nan", "inf", "-inf", "1e3", "infinity", "NaN"])
def test_labels_such_as_nan_and_inf_are_ordinary_labels(label: str) -> None:
    others = ["2", "apple", label, "3"]
    orders = {task().fit(examples(golds)).labels for golds in (others, others[::-1], sorted(others))}
    assert len(orders) == 1
    assert sorted(orders.pop()) == sorted(others)


def test_data_with_only_one_label_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r'reviews\.csv: all 3 rows have the label "yes"'):
        task().fit(examples(["yes"] * 3))


def test_a_label_column_with_mostly_distinct_values_is_an_error() -> None:
    with pytest.raises(DataError, match=r"30 different labels in 30 rows.*data\.label"):
        task().fit(examples([f"id-{i}" for i in range(30)]))


def test_a_small_file_can_have_one_label_per_row() -> None:
    assert len(task().fit(examples([f"id-{i}" for i in range(12)])).labels) == 12


@pytest.mark.parametrize("cell", ["", "   ", "\n\t", None])
def test_an_empty_text_is_an_error_with_its_location(cell: str | None) -> None:
    with pytest.raises(DataError, match=r'reviews\.csv, line 7: the text in column "text" is empty'):
        parse({"text": cell, "label": "a"})


@pytest.mark.parametrize("cell", ["", "  ", None])
def test_a_missing_label_is_an_error_with_its_location(cell: str | None) -> None:
    with pytest.raises(DataError, match=r'reviews\.csv, line 7: the label in column "label" is missing'):
        parse({"text": "fine", "label": cell})


def test_spaces_around_a_label_are_ignored() -> None:
    assert parse({"text": "fine", "label": " good "}).gold == "good"


def test_numbers_and_booleans_are_labels_too() -> None:
    assert parse({"text": "fine", "label": 1}).gold == "1"
    assert parse({"text": "fine", "label": 1.0}).gold == "1"
    assert parse({"text": "fine", "label": True}).gold == "true"


def test_the_id_of_a_row_defaults_to_its_line() -> None:
    assert parse({"text": "fine", "label": "a"}).id == "7"
    assert parse({"text": "fine", "label": "a", "key": "r9"}, Columns(("text",), "label", "key")).id == "r9"


def test_an_empty_text_of_a_pair_is_an_error_with_its_column() -> None:
    with pytest.raises(DataError, match='column "second" is empty'):
        parse({"first": "a", "second": "", "label": "x"}, Columns(("first", "second"), "label", None))


def test_an_unknown_label_is_an_error_with_a_suggestion(tiny_weights: Path) -> None:
    with pytest.raises(DataError, match=r'line 4: the label "goood" does not occur.*Did you mean "good"\?'):
        fitted("bad", "good").encode(
            examples(["good", "bad", "goood"]), Tokenizer.pretrained(tiny_weights), None
        )


def test_gold_is_the_index_of_the_label(tiny_weights: Path) -> None:
    sequences = fitted("a", "b").encode(examples(["b", "a", None]), Tokenizer.pretrained(tiny_weights), None)
    assert [s.gold for s in sequences] == [1, 0, None]


def test_the_loss_is_the_summed_cross_entropy_and_the_count(tiny_weights: Path) -> None:
    made = fitted("a", "b")
    sequences = made.encode(examples(["b", "a", "b"]), Tokenizer.pretrained(tiny_weights), None)
    logits_BC = torch.tensor([[0.3, 2.0], [1.5, -1.0], [4.0, 0.1]])
    total, count = made.loss(logits_BC, collate(sequences))
    assert int(count) == 3
    assert float(total) == pytest.approx(3 * float(cross_entropy(logits_BC, torch.tensor([1, 0, 1]))))


def test_a_prediction_has_the_most_probable_label_and_all_probabilities() -> None:
    outputs = [np.array([0.0, 3.0, 1.0], np.float32)]
    prediction = fitted("a", "b", "c").decode(outputs, [], examples([None])[0])
    assert prediction.label == "b"
    assert list(prediction.probabilities) == ["a", "b", "c"]
    assert sum(prediction.probabilities.values()) == pytest.approx(1.0)
    assert list(prediction.probabilities.values()) == pytest.approx(
        torch.tensor([0.0, 3.0, 1.0]).softmax(-1).tolist()
    )


def test_ties_are_resolved_to_the_first_label() -> None:
    outputs = [np.zeros(3, np.float32)]
    assert fitted("c", "a", "b").decode(outputs, [], examples([None])[0]).label == "c"


def predicted(labels: str) -> list[LabelPrediction]:
    return [LabelPrediction(label, {"a": 0.5, "b": 0.5}) for label in labels]


@pytest.mark.parametrize(("labels", "num"), [("aaaa", 1), ("aaba", 0), ("a", 0), ("", 0)])
def test_predicting_one_label_for_all_texts_causes_a_warning(labels: str, num: int) -> None:
    warnings = fitted("a", "b").warnings(predicted(labels), examples("ab" * 2), [])
    assert len(warnings) == num
    assert all('collapsed: all texts are predicted as "a"' in warning for warning in warnings)


@pytest.mark.parametrize(
    ("options", "precision", "recall"),
    [({"positive_label": "a"}, 0.5, 1.0), ({"positive_label": "b"}, 1.0, 0.5), ({}, 1.0, 0.5)],
    ids=["a", "b", "the last by default"],
)
def test_the_positive_label_determines_precision_and_recall(
    options: dict[str, str], precision: float, recall: float
) -> None:
    # "a" has one true and one false positive; "b" has one true positive and one false negative.
    predictions = [LabelPrediction("ab"[b], {"a": 0.9 - 0.8 * b, "b": 0.1 + 0.8 * b}) for b in (0, 1, 0)]
    scores = fitted("a", "b", **options).score(predictions, examples(["a", "b", "b"]))
    assert (scores["precision"], scores["recall"]) == (precision, recall)


def test_an_unknown_positive_label_is_an_error_before_training() -> None:
    with pytest.raises(ConfigError, match=r'task\.positive_label must be .*, got "yes" \(labels: a, b\)'):
        task(positive_label="yes").fit(examples(["a", "b"]))


def test_a_fitted_task_does_not_change() -> None:
    made = task(class_weights="auto")
    first = made.fit(examples(["a", "a", "a", "b"]))
    options, notes = first.options.model_dump(), first.notes
    second = made.fit(examples(["c", "b", "b"]))
    predictions = predicted("ab")
    assert first.for_scoring(examples(["a", "b"])) is first
    first.score(predictions, examples(["a", "b"]))
    assert (first.labels, second.labels) == (("a", "b"), ("b", "c"))
    assert (first.options.model_dump(), first.notes) == (options, notes)
    assert first.options.class_weights == pytest.approx({"a": 0.6667, "b": 2.0})
    assert made.options.class_weights == "auto"
    restored = task(**options).fitted(first.labels)
    assert restored.options == first.options


def test_an_unknown_option_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"task\.positiv"):
        task(positiv="a")
