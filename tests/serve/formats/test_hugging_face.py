"""huggingface_hub.InferenceClient works with every task: it sends all requests to the URL itself."""

from collections.abc import Callable

import numpy as np
import pytest
from huggingface_hub import InferenceClient, constants
from huggingface_hub.errors import HfHubHTTPError
from running import Running

from bertune.predict.model import Model

Library = Callable[[str], Model]
TEXT, OTHER = "a lovely lamp", "the pump broken"


@pytest.fixture(autouse=True)
def online(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client sends no requests at all, not even to this machine, in the offline mode of all tests."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


def client(running: Running, name: str = "") -> InferenceClient:
    return InferenceClient(model=f"{running.url}/models/{name}" if name else running.url)


def test_labels(reviews: Running, library: Library) -> None:
    expected = library("reviews").predict([TEXT])[0].probabilities
    found = client(reviews).text_classification(TEXT)
    assert {one.label: one.score for one in found} == pytest.approx(expected, abs=1e-6)
    (best,) = client(reviews).text_classification(TEXT, top_k=1)
    assert best.label == max(expected, key=expected.__getitem__)


def test_labels_at_the_path_of_text_embeddings_inference(reviews: Running) -> None:
    at_root = client(reviews).text_classification(TEXT)
    assert client(reviews).text_classification(TEXT, model=f"{reviews.url}/predict") == at_root
    assert client(reviews).text_classification(TEXT, model=f"{reviews.url}/models/reviews/predict") == at_root


def test_top_k_is_not_limited_by_the_settings_of_the_model(every: Running, library: Library) -> None:
    found = client(every, "decisions").text_classification(TEXT, top_k=200)
    assert len(found) == 200  # a prediction names ten labels
    expected = np.sort(library("decisions").predict_proba([TEXT])[0])[::-1]
    assert [one.score for one in found] == pytest.approx(expected[:200], abs=1e-6)


def test_raw_outputs(reviews: Running) -> None:
    found = client(reviews).text_classification(TEXT, function_to_apply="none")
    assert sum(one.score for one in found) != pytest.approx(1, abs=1e-3)
    with pytest.raises(HfHubHTTPError, match='function_to_apply must be "softmax", as in training'):
        client(reviews).text_classification(TEXT, function_to_apply="sigmoid")


def test_several_labels_and_numbers(every: Running, library: Library) -> None:
    found = client(every, "topics").text_classification(TEXT)
    expected = library("topics").predict([TEXT])[0].probabilities
    assert {one.label: one.score for one in found} == pytest.approx(expected, abs=1e-6)
    (number,) = client(every, "stars").text_classification(TEXT)
    assert number.score == pytest.approx(library("stars").predict([TEXT])[0].value, abs=1e-5)


def test_vectors(every: Running, library: Library) -> None:
    vectors = client(every, "vectors").feature_extraction(TEXT, normalize=True)
    np.testing.assert_allclose(vectors, library("vectors").encode([TEXT]), atol=1e-6)
    cut = client(every, "vectors").feature_extraction(TEXT, dimensions=8, truncate=True)
    assert np.shape(cut) == (1, 8)


def test_similarities(every: Running, library: Library) -> None:
    found = client(every, "vectors").sentence_similarity(TEXT, [OTHER, TEXT])
    first, other, _ = library("vectors").encode([TEXT, OTHER, TEXT])
    assert found == pytest.approx([float(first @ other), 1], abs=1e-5)


def test_entities(every: Running, library: Library) -> None:
    text = "my phone is in the house"
    found = client(every, "entities").token_classification(text, aggregation_strategy="simple")
    (expected,) = library("entities").predict([text])
    assert [(one.entity_group, one.start, one.end, one.word) for one in found] == [
        (span["label"], span["start"], span["end"], span["text"]) for span in expected.spans
    ]
    assert found, "a model without training tags something"
    kinds = {one.entity_group for one in found}
    left = client(every, "entities").token_classification(text, ignore_labels=sorted(kinds)[:1])
    assert {one.entity_group for one in left} == kinds - {min(kinds)}


def test_answers(every: Running, library: Library) -> None:
    question, context = "my phone ?", "the phone is in the box of my house"
    (expected,) = library("answers").predict([(question, context)])
    found = client(every, "answers").question_answering(question=question, context=context)
    assert (found.answer, found.start, found.end) == (
        expected.answer or "", expected.start or 0, expected.end or 0,
    )  # fmt: skip
    three = client(every, "answers").question_answering(
        question=question, context=context, top_k=3, handle_impossible_answer=False
    )
    assert len(three) == 3
    assert all(one.answer == context[one.start : one.end] for one in three)


def test_masked_words(every: Running, library: Library) -> None:
    found = client(every, "masks").fill_mask("the [MASK] is clear", top_k=2)
    (expected,) = library("masks").predict(["the [MASK] is clear"])
    best = expected.masks[0]["best"]
    assert {one.token_str: one.score for one in found} == pytest.approx(
        dict(list(best.items())[:2]), abs=1e-6
    )
    for one in found:
        assert one.sequence.startswith("the") and one.sequence.endswith("is clear")
        assert one.token_str.removeprefix("##") in one.sequence
    vocabulary = library("masks").tokenizer
    assert [vocabulary.tokens([one.token]) for one in found] == [[one.token_str] for one in found]


def test_each_of_several_masks_is_filled(every: Running) -> None:
    with every.client() as http:
        found = http.post("/models/masks", json={"inputs": "the [MASK] is [MASK]"}).json()
    assert len(found) == 2
    assert "[MASK]" in found[0][0]["sequence"]


def test_what_a_task_cannot_do_is_refused(every: Running) -> None:
    with pytest.raises(HfHubHTTPError, match="the text has no mask"):
        client(every, "masks").fill_mask("the phone is clear")
    with pytest.raises(HfHubHTTPError, match=r"parameters\.stride: Extra inputs are not permitted"):
        client(every, "entities").token_classification(TEXT, stride=4)
    with pytest.raises(HfHubHTTPError, match="needs a model that predicts answer"):
        client(every, "vectors").question_answering(question=TEXT, context=OTHER)
    with pytest.raises(HfHubHTTPError, match="models fit this request"):
        client(every).text_classification(TEXT)


def test_ranking_at_the_root(every: Running) -> None:
    with every.client() as http:
        body = {"query": TEXT, "texts": [OTHER, TEXT]}
        assert http.post("/models/relevance", json=body).json() == http.post("/rerank", json=body).json()
