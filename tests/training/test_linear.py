"""Linear models of simple texts, and the verdict on whether fine-tuning is worth it."""

import numpy as np
import pytest

from bertune.manifest.results import DifferenceRecord, SimpleModelRecord
from bertune.training import linear
from bertune.training.simple_models import _verdict, most_encoded

TRAIN = [(f"{word} thing {i}",) for i in range(12) for word in ("good", "bad", "so")]
TEST = [("a good one",), ("bad again",), ("so so",)]


def outputs(targets: np.ndarray, num_labels: int) -> np.ndarray:
    features = linear.tfidf_features(TRAIN, TEST)
    return linear.linear_outputs(features, targets, num_labels, seed=0, is_sparse=True)


def test_labels_are_predicted_from_words() -> None:
    three = outputs(np.array([0, 1, 2] * 12), 4)
    assert three.argmax(axis=1).tolist() == [0, 1, 2]
    assert (three[:, 3] < -20).all()  # a label that no training text has
    two = outputs(np.array([1, 0, 0] * 12), 2)
    assert two.argmax(axis=1).tolist() == [1, 0, 0]


def test_several_labels_and_numbers_are_predicted_from_words() -> None:
    sets_NC = np.array(
        [[True, False, True, False], [False, True, True, False], [False, False, True, False]] * 12
    )
    logits_NC = outputs(sets_NC, 4)
    assert (logits_NC > 0).tolist() == sets_NC[:3].tolist()
    numbers_N1 = outputs(np.array([1.0, 0.0, 0.5] * 12), 1)
    assert numbers_N1.shape == (3, 1)
    assert numbers_N1[0, 0] > numbers_N1[2, 0] > numbers_N1[1, 0]


def test_pairs_have_their_similarity_as_a_feature() -> None:
    train = [
        ("red car", "red car"),
        ("red car", "blue sky"),
        ("old dog", "old dog"),
        ("old dog", "tall tree"),
    ] * 5
    test = [("new ship", "new ship"), ("new ship", "red tree")]
    features = linear.tfidf_features(train, test)
    numbers_N1 = linear.linear_outputs(features, np.array([1.0, 0.0] * 10), 1, seed=0, is_sparse=True)
    assert numbers_N1[0, 0] > numbers_N1[1, 0]
    vectors = linear.vector_features([np.eye(3), np.eye(3)[[0, 2, 1]]])
    assert vectors[:, -1].tolist() == [1.0, 0.0, 0.0]  # the cosine


@pytest.mark.parametrize("texts", [TRAIN, [(f"red {i}", f"blue {i + 1}") for i in range(9)]])
def test_a_text_has_the_same_features_in_training_and_test(texts: list[tuple[str, ...]]) -> None:
    train, test = linear.tfidf_features(texts, texts)
    np.testing.assert_allclose(train.toarray(), test.toarray())


@pytest.mark.parametrize(
    ("seen", "scored", "labels", "most"),
    [(9_000, 500, 2, 1_750), (100_000, 500, 2, 4_000), (50, 9_000, 2, 1_000), (50, 9_000, 77, 1_925)],
)
def test_encoding_takes_a_small_part_of_the_training_time(
    seen: int, scored: int, labels: int, most: int
) -> None:
    assert most_encoded(seen, scored, labels) == most


def test_texts_without_words_have_features() -> None:
    train, test = linear.tfidf_features([("!!!",), ("?",)], [("…",)])
    assert train.shape[0] == 2 and test.shape[0] == 1


@pytest.mark.parametrize(
    ("theirs", "change", "p", "beginning"),
    [
        (0.7, 0.1, 0.001, "Fine-tuning is worth it: the best simple model, b, has mcc 0.700"),
        (0.79, 0.01, 0.4, "The simple model is as good: b has mcc 0.790, the fine-tuned model 0.800"),
        (0.9, -0.1, 0.01, "The simple model is better: b has mcc 0.900, the fine-tuned model 0.800"),
    ],
)
def test_the_verdict_names_the_best_simple_model(
    theirs: float, change: float, p: float, beginning: str
) -> None:
    def model(name: str, value: float) -> SimpleModelRecord:
        found = DifferenceRecord(value=change, low=0.0, high=1.0, p=p)
        return SimpleModelRecord(name=name, scores={"mcc": value}, differences={"mcc": found})

    assert _verdict([model("a", 0.1), model("b", theirs)], "mcc", 0.8).startswith(beginning)


def test_if_lower_is_better_a_simple_model_with_a_lower_score_is_better() -> None:
    found = DifferenceRecord(value=0.5, low=0.1, high=0.9, p=0.01)
    record = SimpleModelRecord(name="a", scores={"mse": 1.0}, differences={"mse": found})
    assert _verdict([record], "mse", 1.5).startswith("The simple model is better")
