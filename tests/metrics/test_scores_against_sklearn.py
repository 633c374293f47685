"""Scores equal those of scikit-learn, even if a class never occurs or is never predicted."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk

from bertune.metrics.classification import BATCH, confusion_matrix, mcc, score
from bertune.metrics.counts import roc_auc

DRAWS = [(classes, seed) for classes in (2, 3, 10) for seed in range(4)]


def drawn(num_classes: int, seed: int, num: int = 97, absent: int | None = None):
    """Gold labels and probabilities that agree more often than chance; class `absent` is never gold."""
    draw = np.random.default_rng([num_classes, seed])
    gold_N = draw.integers(num_classes, size=num)
    if absent is not None:
        gold_N = np.where(gold_N == absent, (absent + 1) % num_classes, gold_N)
    logits_NC = draw.normal(size=(num, num_classes)) + 1.2 * np.eye(num_classes)[gold_N]
    if absent is not None:
        logits_NC[:, absent] -= 30  # nor predicted
    probabilities_NC = np.exp(logits_NC) / np.exp(logits_NC).sum(axis=1, keepdims=True)
    return gold_N, probabilities_NC, tuple(f"label {i}" for i in range(num_classes))


def reference(gold_N, probabilities_NC, num_classes: int, positive: int) -> dict[str, float]:
    predicted_N = probabilities_NC.argmax(axis=1)
    classes = list(range(num_classes))
    own = quiet = {"zero_division": 0}  # labels are inferred from gold and predictions
    average = {"average": "binary", "pos_label": positive} if num_classes == 2 else {"average": "macro"}
    values = {
        "accuracy": sk.accuracy_score(gold_N, predicted_N),
        "precision": sk.precision_score(gold_N, predicted_N, **average, **own),
        "recall": sk.recall_score(gold_N, predicted_N, **average, **own),
        "f1": sk.f1_score(gold_N, predicted_N, **average, **own),
        "mcc": sk.matthews_corrcoef(gold_N, predicted_N),
        "log_loss": sk.log_loss(gold_N, probabilities_NC, labels=classes),
    }
    for name in ("macro", "weighted"):
        values[f"{name}_precision"] = sk.precision_score(gold_N, predicted_N, average=name, **quiet)
        values[f"{name}_recall"] = sk.recall_score(gold_N, predicted_N, average=name, **quiet)
        values[f"{name}_f1"] = sk.f1_score(gold_N, predicted_N, average=name, **quiet)
    return values


@pytest.mark.parametrize(("num_classes", "seed"), DRAWS)
def test_scores_equal_those_of_scikit_learn(num_classes: int, seed: int) -> None:
    gold_N, probabilities_NC, labels = drawn(num_classes, seed)
    positive = seed % num_classes
    found = score(gold_N, probabilities_NC, labels, positive).values
    wanted = reference(gold_N, probabilities_NC, num_classes, positive)
    wanted["roc_auc"] = (
        sk.roc_auc_score(gold_N == positive, probabilities_NC[:, positive])
        if num_classes == 2
        else sk.roc_auc_score(gold_N, probabilities_NC, multi_class="ovr", average="macro")
    )
    assert found == pytest.approx(wanted, abs=1e-12)


@pytest.mark.parametrize("num_classes", [3, 10])
def test_a_class_that_never_occurs_is_treated_like_in_scikit_learn(num_classes: int) -> None:
    gold_N, probabilities_NC, labels = drawn(num_classes, 1, absent=1)
    found = score(gold_N, probabilities_NC, labels, 0).values
    assert found.pop("roc_auc") is None
    assert found == pytest.approx(reference(gold_N, probabilities_NC, num_classes, 0), abs=1e-12)


def test_a_perfect_model_has_a_macro_f1_of_1_even_if_a_class_does_not_occur() -> None:
    gold_N = np.array([0, 1, 0, 1])
    found = score(gold_N, np.eye(3)[gold_N], ("a", "b", "c"), 0)
    assert sk.f1_score(gold_N, gold_N, average="macro") == 1
    assert {found[f"macro_{name}"] for name in ("precision", "recall", "f1")} == {1.0}
    absent = {"label": "c", "precision": None, "recall": None, "f1": None, "support": 0}
    assert found.details["per_class"][2] == absent


@pytest.mark.parametrize(("gold", "predicted"), [([0, 1, 0], [0, 1, 2]), ([0, 1, 2], [0, 1, 0])])
def test_a_class_that_is_only_gold_or_only_predicted_counts_as_0(
    gold: list[int], predicted: list[int]
) -> None:
    found = score(np.array(gold), np.eye(4)[predicted], tuple("abcd"), 0)
    assert found["macro_f1"] == pytest.approx(sk.f1_score(gold, predicted, average="macro", zero_division=0))
    assert [row["f1"] for row in found.details["per_class"][2:]] == [0, None]


def test_scores_of_a_positive_class_that_is_neither_gold_nor_predicted_are_undefined() -> None:
    gold_N = np.zeros(3, np.int64)
    found = score(gold_N, np.eye(2)[gold_N], ("no", "yes"), 1)
    assert {found[name] for name in ("precision", "recall", "f1")} == {None}
    assert found["macro_f1"] == 1


def test_only_roc_auc_is_undefined_for_texts_of_a_single_class() -> None:
    probabilities_NC = np.array([[0.7, 0.3], [0.4, 0.6], [0.9, 0.1]])
    values = score(np.zeros(3, np.int64), probabilities_NC, ("no", "yes"), 1).values
    assert values["roc_auc"] is None
    assert values["mcc"] == 0.0
    assert values["accuracy"] == pytest.approx(2 / 3)
    assert all(
        value is not None and math.isfinite(value) for name, value in values.items() if name != "roc_auc"
    )


def test_the_positive_class_decides_binary_precision_and_recall() -> None:
    gold_N, probabilities_NC, labels = drawn(2, 9)
    first, second = (score(gold_N, probabilities_NC, labels, positive) for positive in (0, 1))
    assert first["precision"] == first.details["per_class"][0]["precision"]
    assert second["precision"] == second.details["per_class"][1]["precision"]
    assert first["precision"] != second["precision"]
    assert first["mcc"] == second["mcc"]


@pytest.mark.parametrize(("num_classes", "seed"), DRAWS)
def test_mcc_equals_that_of_scikit_learn(num_classes: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    gold_N, predicted_N = draw.integers(num_classes, size=(2, 31))
    confusion_CC = confusion_matrix(gold_N, predicted_N, num_classes)
    assert mcc(confusion_CC) == pytest.approx(sk.matthews_corrcoef(gold_N, predicted_N), abs=1e-12)


@pytest.mark.parametrize(
    ("confusion", "expected"),
    [
        ([[5, 0], [0, 7]], 1.0),
        ([[0, 5], [7, 0]], -1.0),
        ([[5, 0], [7, 0]], 0.0),  # only one class is predicted
        ([[5, 7], [0, 0]], 0.0),  # only one class in the texts
        ([[0, 0], [0, 0]], 0.0),
    ],
)
def test_mcc_of_extreme_tables(confusion: list[list[int]], expected: float) -> None:
    assert mcc(np.array(confusion)) == pytest.approx(expected)


def test_mcc_of_half_a_million_texts_does_not_overflow() -> None:
    assert mcc(np.array([[400_000, 100_000], [100_000, 400_000]])) == pytest.approx(0.6)


def test_the_confusion_matrix_has_gold_in_rows() -> None:
    matrix = confusion_matrix(np.array([0, 0, 2]), np.array([1, 1, 2]), 3)
    assert matrix.tolist() == [[0, 2, 0], [0, 0, 0], [0, 0, 1]]


def test_per_class_scores_and_the_matrix_equal_those_of_scikit_learn() -> None:
    gold_N, probabilities_NC, labels = drawn(3, 2)
    predicted_N = probabilities_NC.argmax(axis=1)
    details = score(gold_N, probabilities_NC, labels, 0).details
    assert details["confusion_matrix"] == sk.confusion_matrix(gold_N, predicted_N).tolist()
    wanted = sk.classification_report(gold_N, predicted_N, target_names=labels, output_dict=True)
    for row in details["per_class"]:
        its = wanted[row["label"]]
        assert row == pytest.approx(
            {"label": row["label"], "precision": its["precision"], "recall": its["recall"],
             "f1": its["f1-score"], "support": int(its["support"])}
        )  # fmt: skip


def test_the_score_of_each_batch_of_texts_is_its_own_mcc() -> None:
    gold_N, probabilities_NC, labels = drawn(2, 5, num=2 * BATCH + 7)
    by_batch = score(gold_N, probabilities_NC, labels, 1).details["by_batch"]
    predicted_N = probabilities_NC.argmax(axis=1)
    cuts = [slice(0, BATCH), slice(BATCH, 2 * BATCH), slice(2 * BATCH, None)]
    assert by_batch["values"] == pytest.approx(
        [sk.matthews_corrcoef(gold_N[cut], predicted_N[cut]) for cut in cuts]
    )
    assert by_batch["total"] == pytest.approx(sk.matthews_corrcoef(gold_N, predicted_N))


def test_roc_auc_counts_ties_half() -> None:
    draw = np.random.default_rng(3)
    for _ in range(50):
        gold_N, scores_N = draw.random(40) < 0.4, draw.integers(0, 6, 40) / 5
        gold_N[:2] = True, False
        assert roc_auc(gold_N, scores_N) == pytest.approx(sk.roc_auc_score(gold_N, scores_N), abs=1e-12)
