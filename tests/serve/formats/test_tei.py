"""text-embeddings-inference's endpoints give the library's predictions in the shapes of that server."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from running import Running

from bertune.predict.model import Model

Library = Callable[[str], Model]
TEXT, OTHER = "a lovely lamp", "the pump broken"
LONG = "so " * 70


def answer(running: Running, path: str, body: object, status: int = 200) -> Any:
    """The JSON answer to a POST request."""
    with running.client() as client:
        found = client.post(path, json=body)
    assert found.status_code == status, found.text
    return found.json()


def by_label(scores: list[dict[str, Any]]) -> dict[str, float]:
    return {one["label"]: one["score"] for one in scores}


def test_predict_gives_the_probabilities_highest_first(reviews: Running, library: Library) -> None:
    expected = library("reviews").predict([TEXT])[0].probabilities
    for inputs in (TEXT, [TEXT]):
        found = answer(reviews, "/predict", {"inputs": inputs})
        assert by_label(found) == pytest.approx(expected, abs=1e-6)
        assert found[0]["score"] > found[1]["score"]


def test_a_batch_of_lists_gives_a_list_per_text(reviews: Running, library: Library) -> None:
    found = answer(reviews, "/predict", {"inputs": [[TEXT], [OTHER]]})
    expected = library("reviews").predict([TEXT, OTHER])
    for one, prediction in zip(found, expected, strict=True):
        assert by_label(one) == pytest.approx(prediction.probabilities, abs=1e-6)


def test_raw_scores_are_the_outputs_before_the_softmax(reviews: Running) -> None:
    raw = by_label(answer(reviews, "/predict", {"inputs": TEXT, "raw_scores": True}))
    odds = {label: np.exp(score) for label, score in raw.items()}
    shares = {label: share / sum(odds.values()) for label, share in odds.items()}
    assert shares == pytest.approx(by_label(answer(reviews, "/predict", {"inputs": TEXT})), abs=1e-6)


def test_several_labels_and_numbers_are_reported_with_their_scores(every: Running, library: Library) -> None:
    topics = by_label(answer(every, "/models/topics/predict", {"inputs": TEXT}))
    assert topics == pytest.approx(library("topics").predict([TEXT])[0].probabilities, abs=1e-6)
    stars = answer(every, "/models/stars/predict", {"inputs": TEXT})
    assert stars == [{"label": "value", "score": pytest.approx(library("stars").predict([TEXT])[0].value)}]


def test_a_pair_is_a_list_of_two_texts(every: Running, library: Library) -> None:
    (expected,) = library("relevance").predict([(TEXT, OTHER)])
    found = answer(every, "/models/relevance/predict", {"inputs": [TEXT, OTHER]})
    assert found == [{"label": "score", "score": pytest.approx(expected.score, abs=1e-6)}]


def test_rerank_orders_the_texts_by_relevance(every: Running, library: Library) -> None:
    texts = [TEXT, OTHER, "my phone", "the box"]
    expected = [p.score for p in library("relevance").predict([("my phone", text) for text in texts])]
    found = answer(every, "/rerank", {"query": "my phone", "texts": texts, "return_text": True})
    assert [one["index"] for one in found] == sorted(range(4), key=lambda i: -expected[i])
    for one in found:
        assert one["text"] == texts[one["index"]]
        assert one["score"] == pytest.approx(expected[one["index"]], abs=1e-6)
    assert "text" not in answer(every, "/rerank", {"query": "my phone", "texts": texts})[0]


def test_raw_scores_of_rerank_are_logits(every: Running) -> None:
    body = {"query": "my phone", "texts": [TEXT, OTHER]}
    for raw, one in zip(
        answer(every, "/rerank", {**body, "raw_scores": True}), answer(every, "/rerank", body), strict=True
    ):
        assert 1 / (1 + np.exp(-raw["score"])) == pytest.approx(one["score"], abs=1e-6)


def test_embed_gives_the_vectors_of_the_library(every: Running, library: Library) -> None:
    found = answer(every, "/embed", {"inputs": [TEXT, OTHER]})
    np.testing.assert_allclose(found, library("vectors").encode([TEXT, OTHER]), atol=1e-6)
    assert np.shape(answer(every, "/embed", {"inputs": TEXT})) == (1, 36)


def test_vectors_are_truncated_to_trained_sizes_and_scaled_again(every: Running) -> None:
    (whole,) = answer(every, "/embed", {"inputs": TEXT})
    (cut,) = answer(every, "/embed", {"inputs": TEXT, "dimensions": 8})
    np.testing.assert_allclose(cut, np.array(whole[:8]) / np.linalg.norm(whole[:8]), atol=1e-6)
    refused = answer(every, "/embed", {"inputs": TEXT, "dimensions": 9}, 422)
    assert "dimensions must be one of 8, 16, 36, got 9" in refused["error"]


def test_vectors_can_have_their_own_length(every: Running) -> None:
    (unit,) = answer(every, "/embed", {"inputs": TEXT})
    (own,) = answer(every, "/embed", {"inputs": TEXT, "normalize": False})
    assert np.linalg.norm(own) > 1.01
    np.testing.assert_allclose(np.array(own) / np.linalg.norm(own), unit, atol=1e-6)


def test_similarity_is_the_cosine(every: Running, library: Library) -> None:
    first, *others = library("vectors").encode([TEXT, OTHER, TEXT])
    inputs = {"source_sentence": TEXT, "sentences": [OTHER, TEXT]}
    found = answer(every, "/similarity", {"inputs": inputs})
    assert found == pytest.approx([float(first @ other) for other in others], abs=1e-6)


def test_info_describes_the_model(reviews: Running, every: Running) -> None:
    with reviews.client() as client:
        info = client.get("/info").json()
        assert client.get("/health").status_code == 200
        assert "bertune_" in client.get("/metrics").text
    assert info["model_id"] == "reviews"
    assert info["model_type"] == {
        "classifier": {"id2label": {"0": "bad", "1": "good"}, "label2id": {"bad": 0, "good": 1}}
    }
    assert info["max_input_length"] == 64
    assert info["model_dtype"] == "float32"
    with every.client() as client:
        kinds = {
            one["model_id"]: next(iter(one["model_type"])) for one in client.get("/info").json()["models"]
        }
        assert client.get("/models/vectors/info").json()["model_type"] == {"embedding": {"pooling": "mean"}}
    assert kinds["relevance"] == "reranker"
    assert kinds["topics"] == kinds["stars"] == "classifier"


@pytest.mark.parametrize(
    ("path", "body", "status", "message"),
    [
        ("/predict", {"inputs": LONG}, 413, "the text has 72 tokens, but this model reads at most 64"),
        ("/predict", {"inputs": [["good"], [LONG]]}, 413, "text 2 of 2 has 72 tokens"),
        ("/predict", {"inputs": " "}, 422, "the text is blank"),
        ("/predict", {"inputs": [TEXT, OTHER]}, 422, 'Write a batch as [["a text"], ["another text"]]'),
        ("/predict", {"inputs": [[TEXT, OTHER]]}, 422, "this model takes a text"),
        ("/predict", {"inputs": []}, 422, '"inputs" is empty'),
        ("/predict", {"inputs": 5}, 422, '"inputs" has an unknown form'),
        ("/predict", {"input": TEXT}, 422, "inputs: Field required"),
        ("/predict", {"inputs": TEXT, "truncate": "yes"}, 422, "truncate: Input should be a valid boolean"),
        ("/predict", {"inputs": [["x"]] * 1001}, 413, "1,001 texts, but at most 1,000"),
        ("/embed", {"inputs": TEXT}, 424, '"reviews" predicts label, probabilities (use /predict)'),
        (
            "/rerank",
            {"query": TEXT, "texts": [OTHER]},
            424,
            "this endpoint needs a model that predicts score",
        ),
    ],
)
def test_refusals_have_the_status_and_shape_of_that_server(
    reviews: Running, path: str, body: object, status: int, message: str
) -> None:
    refused = answer(reviews, path, body, status)
    assert message in refused["error"]
    assert refused["error_type"] in ("Validation", "Backend")


def test_null_stands_for_the_default_of_truncate(reviews: Running) -> None:
    assert answer(reviews, "/predict", {"inputs": TEXT, "truncate": None})


def test_long_texts_are_truncated_on_request(reviews: Running, library: Library) -> None:
    found = by_label(answer(reviews, "/predict", {"inputs": LONG, "truncate": True}))
    assert found == pytest.approx(library("reviews").predict([LONG])[0].probabilities, abs=1e-6)


def test_one_of_several_models_is_named_in_the_path(every: Running) -> None:
    refused = answer(every, "/predict", {"inputs": TEXT}, 422)
    assert "3 models fit this request: topics, stars, decisions" in refused["error"]
    assert "there is no model" in answer(every, "/models/topic/embed", {"inputs": TEXT}, 404)["error"]
    refused = answer(every, "/models/stars/rerank", {"query": TEXT, "texts": [OTHER]}, 424)
    assert refused["error_type"] == "Backend"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"inputs": [TEXT, 5]}, '"inputs" is neither a text nor a list of texts'),
        ({"inputs": []}, '"inputs" is empty'),
        ({"inputs": TEXT, "prompt_name": "query"}, "the model has no prompts"),
        ({"inputs": TEXT, "truncation_direction": "Left"}, "texts are truncated at their end"),
    ],
)
def test_embed_refuses_what_would_give_other_vectors(every: Running, body: object, message: str) -> None:
    assert message in answer(every, "/embed", body, 422)["error"]
