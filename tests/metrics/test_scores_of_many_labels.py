"""Scores of thousands of labels without quadratic arrays equal those with them."""

from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sk

from bertune.metrics import classification, confusions, details, multilabel, spans
from bertune.metrics.confusions import confusion_details, mcc_of
from label_matrices import judged


def drawn(num_classes: int, num: int, seed: int = 0) -> tuple[Any, Any, tuple[str, ...]]:
    """Gold labels, probabilities that agree more often than chance, and names."""
    draw = np.random.default_rng([num_classes, num, seed])
    gold_N = draw.integers(num_classes, size=num)
    logits_NC = draw.normal(size=(num, num_classes))
    logits_NC[np.arange(num), gold_N] += 4
    probabilities_NC = np.exp(logits_NC)
    probabilities_NC /= probabilities_NC.sum(axis=1, keepdims=True)
    return gold_N, probabilities_NC, tuple(f"label {i}" for i in range(num_classes))


@pytest.mark.parametrize("num_classes", [2, 7, 3000])
def test_mcc_without_a_matrix_equals_that_of_scikit_learn(num_classes: int) -> None:
    draw = np.random.default_rng(num_classes)
    gold_N = draw.integers(num_classes, size=400)
    predicted_N = np.where(draw.random(400) < 0.4, gold_N, draw.integers(num_classes, size=400))
    assert mcc_of(gold_N, predicted_N) == pytest.approx(sk.matthews_corrcoef(gold_N, predicted_N), abs=1e-12)


def test_mcc_without_a_matrix_is_0_if_undefined_and_does_not_overflow() -> None:
    gold_N, one_N = np.array([0, 1, 1]), np.zeros(3, np.int64)
    assert mcc_of(gold_N, one_N) == mcc_of(one_N, gold_N) == mcc_of(one_N, one_N) == 0.0
    gold_N = np.repeat([0, 1], 500_000)
    assert mcc_of(gold_N, np.roll(gold_N, 100_000)) == pytest.approx(0.6)


def test_scores_of_streamed_rows_equal_those_of_scikit_learn() -> None:
    num_classes = classification.MOST_WITH_ROC_AUC + 1
    gold_N, probabilities_NC, labels = drawn(num_classes, 300)
    found = classification.score(gold_N, iter(probabilities_NC), labels, 0).values
    predicted_N = probabilities_NC.argmax(axis=1)
    classes = range(num_classes)
    assert found["roc_auc"] is None
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(gold_N, predicted_N))
    assert found["mcc"] == pytest.approx(sk.matthews_corrcoef(gold_N, predicted_N))
    assert found["log_loss"] == pytest.approx(sk.log_loss(gold_N, probabilities_NC, labels=classes))
    assert found["macro_f1"] == pytest.approx(
        sk.f1_score(gold_N, predicted_N, average="macro", zero_division=0)
    )


def test_holding_rows_in_memory_does_not_change_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    gold_N, probabilities_NC, labels = drawn(5, 200)
    held = classification.score(gold_N, probabilities_NC, labels, 0)
    monkeypatch.setattr(classification, "MOST_WITH_ROC_AUC", 4)
    streamed = classification.score(gold_N, probabilities_NC, labels, 0)
    assert held["roc_auc"] is not None
    assert streamed.values == held.values | {"roc_auc": None}
    assert streamed.details == held.details


def test_log_loss_is_clipped_like_in_scikit_learn() -> None:
    probabilities_NC = np.array([[1.0, 0.0], [0.0, 1.0], [0.3, 0.7]])
    gold_N = np.array([1, 1, 0])
    found = classification.score(gold_N, probabilities_NC, ("a", "b"), 1)["log_loss"]
    assert found == pytest.approx(sk.log_loss(gold_N, probabilities_NC), rel=1e-12)


def test_listed_confusions_are_the_largest_cells_of_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    draw = np.random.default_rng(4)
    gold_N, predicted_N = draw.integers(6, size=(2, 500))
    labels = tuple("abcdef")
    matrix = np.array(confusion_details(gold_N, predicted_N, labels)["confusion_matrix"])
    assert (matrix == sk.confusion_matrix(gold_N, predicted_N)).all()
    monkeypatch.setattr(confusions, "MOST_IN_MATRIX", 5)
    monkeypatch.setattr(confusions, "MOST_CONFUSIONS", 7)
    found = confusion_details(gold_N, predicted_N, labels)
    assert "confusion_matrix" not in found
    rows = found["confusions"]["rows"]
    assert found["confusions"]["num_pairs"] == np.count_nonzero(matrix - np.diag(np.diag(matrix)))
    for row in rows:
        gold, predicted = labels.index(row["gold"]), labels.index(row["predicted"])
        assert (row["count"], row["support"]) == (matrix[gold, predicted], matrix[gold].sum())
    off_diagonal = np.sort((matrix - np.diag(np.diag(matrix))).ravel())[::-1]
    assert [row["count"] for row in rows] == off_diagonal[:7].tolist()


def test_of_many_batches_an_even_sample_is_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    gold_N, probabilities_NC, labels = drawn(2, 20 * classification.BATCH)
    gold_N = np.roll(gold_N, 1)  # so that batches have different scores
    whole = classification.score(gold_N, probabilities_NC, labels, 1).details["by_batch"]
    assert "num_batches" not in whole
    monkeypatch.setattr(classification, "MOST_BATCHES", 5)
    some = classification.score(gold_N, probabilities_NC, labels, 1).details["by_batch"]
    assert some["num_batches"] == 20
    assert some["values"] == [whole["values"][i] for i in (0, 5, 10, 14, 19)]


@pytest.mark.parametrize("cells", [2**22, 60])
def test_multilabel_scores_in_blocks_equal_those_of_scikit_learn(
    monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    draw = np.random.default_rng(6)
    gold_NC = draw.random((90, 12)) < 0.2
    gold_NC[:, 3] = False  # never gold: not in the mean of the areas
    probabilities_NC = np.clip(0.4 * gold_NC + 0.6 * draw.random((90, 12)), 0, 0.999).round(2)  # with ties
    gold_NC[:, 5] = probabilities_NC[:, 5] = 0  # nor predicted: not in averages over labels
    whole, labels = judged(gold_NC, probabilities_NC), tuple("abcdefghijkl")
    by_threshold = multilabel.score(whole, labels, 0.5).details["figures"][0]
    monkeypatch.setattr(multilabel, "_CELLS", cells)
    found = multilabel.score(whole, labels, 0.5)
    predicted_NC = probabilities_NC >= 0.5
    wanted = {
        "subset_accuracy": sk.accuracy_score(gold_NC, predicted_NC),
        "hamming_loss": sk.hamming_loss(gold_NC, predicted_NC),
        "map": sk.average_precision_score(
            np.delete(gold_NC, [3, 5], 1), np.delete(probabilities_NC, [3, 5], 1)
        ),
    }
    for average in ("micro", "macro", "weighted", "samples"):
        # With indicator matrices, scikit-learn counts all columns unless labels are given.
        seen = (gold_NC | predicted_NC).any(axis=0).nonzero()[0]
        triple = sk.precision_recall_fscore_support(
            gold_NC, predicted_NC, labels=seen, average=average, zero_division=0
        )
        wanted |= dict(zip((f"{average}_{n}" for n in ("precision", "recall", "f1")), triple, strict=False))
    assert found.values == pytest.approx(wanted, abs=1e-12)
    assert found.details["figures"][0] == by_threshold
    assert sum(b["count"] for b in found.details["figures"][1]["bins"]) == gold_NC.size


@pytest.mark.parametrize("num_found", [0, 2])
def test_multilabel_scores_without_any_gold_label(num_found: int) -> None:
    probabilities_NC = np.zeros((4, 3))
    probabilities_NC[:num_found, 1] = 0.9
    found = multilabel.score(judged(np.zeros((4, 3), bool), probabilities_NC), tuple("abc"), 0.5)
    of_labels = {found[f"{average}_f1"] for average in ("micro", "macro", "weighted")}
    assert of_labels == ({0.0} if num_found else {None})
    assert found["map"] is None
    assert found["samples_f1"] == 0
    assert [row["f1"] for row in found.details["per_class"]] == [None, 0.0 if num_found else None, None]


def test_a_table_is_limited_and_says_so() -> None:
    found = details.table("t", ["name"], [[str(i)] for i in range(details.MOST_ROWS + 5)], "A note.")
    assert len(found["rows"]) == details.MOST_ROWS
    assert found["note"] == "A note. Showing the first 200 of 205 rows."


def test_of_many_entity_types_those_with_the_most_errors_are_shown() -> None:
    num = details.MOST_ROWS + 3
    gold = [[(2 * i, 2 * i + 1, f"T{i:03}") for i in range(num)]]
    found = [span for span in gold[0] if span[2] != "T202"]
    assert spans.error_table(gold, [found])["rows"][0] == ["T202", 0, 0, 0, 0, 1, 0]
