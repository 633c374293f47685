"""The wording of limitations, and the retrieval scores that too few texts determine."""

from bertune.metrics.limitations import (
    NEVER_ABOVE_0,
    UNDEFINED,
    Limitation,
    equal_scores,
    limitation_texts,
    missing_labels,
    undefined_scores,
)
from bertune.metrics.retrieval import settled_scores

ONE_CLASS = Limitation(
    'all texts have the label "a"', {"mcc": "0", "roc_auc": UNDEFINED, "f1": NEVER_ABOVE_0}
)


def test_scores_are_named_with_their_value() -> None:
    assert limitation_texts([ONE_CLASS]) == [
        'all texts have the label "a"; regardless of the predictions, mcc is 0; roc_auc is undefined; '
        "f1 is 0 or undefined"
    ]
    same = Limitation("x", {"a": "1", "b": "1", "c": "1"})
    assert limitation_texts([same]) == ["x; regardless of the predictions, a, b and c are 1"]


def test_a_settled_score_that_selects_the_checkpoint_is_reported() -> None:
    (text,) = limitation_texts([ONE_CLASS], "mcc")
    assert "mcc selects the checkpoint (train.best_metric) but cannot distinguish checkpoints" in text
    (text,) = limitation_texts([ONE_CLASS], "accuracy")
    assert "train.best_metric" not in text


def test_only_scores_without_a_value_are_undefined() -> None:
    usual = Limitation("the texts have no scores", {"spearman": UNDEFINED}, is_usual=True)
    assert undefined_scores([ONE_CLASS, usual]) == {"roc_auc", "spearman"}
    assert undefined_scores([]) == set()


def test_usual_limitations_are_reported_only_if_they_select_the_checkpoint() -> None:
    usual = Limitation("the texts have no scores", {"spearman": UNDEFINED}, is_usual=True)
    assert limitation_texts([usual]) == limitation_texts([usual], "mrr@10") == []
    (text,) = limitation_texts([usual], "spearman")
    assert text.startswith("the texts have no scores; regardless of the predictions, spearman is undefined")


def test_missing_labels_are_named() -> None:
    assert missing_labels({"a", "b"}, ("a", "b"), {"roc_auc": UNDEFINED}) == []
    (found,) = missing_labels({"a"}, ("a", "b", "rare"), {"roc_auc": UNDEFINED})
    assert found.fact == "2 of the 3 labels do not occur: b, rare"
    assert found.settled == {"roc_auc": UNDEFINED}


def test_scores_that_the_worst_predictions_also_reach_are_settled() -> None:
    best = {"p@5": 0.2, "mrr": 1.0, "map": None, "ndcg": 1.0}
    worst = {"p@5": 0.2 + 1e-12, "mrr": 0.5, "map": None, "ndcg": None}
    assert equal_scores(worst, best) == {"p@5": "0.2", "map": UNDEFINED}


def test_retrieval_among_few_texts_is_settled() -> None:
    assert settled_scores(1, [{0}], [set()]) == ({"recall@1": "1", "recall@10": "1", "mrr@10": "1"}, 1)
    assert settled_scores(4, [{0}, {1}], [set(), {3}]) == ({"recall@10": "1"}, 4)
    assert settled_scores(11, [{0}], [set()]) == ({}, 11)
    assert settled_scores(11, [{0}], [{10}]) == ({"recall@10": "1"}, 10)
