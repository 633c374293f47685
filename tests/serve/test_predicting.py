"""Predictions of the service are those of the library, and refusals say which text is wrong and why."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running import Running, held, serving

import bertune as bt
from bertune.serve.service import ServedModel

TEXTS = ["a lovely lamp", "the pump broken", "great", "my phone was slow and dull and torn", "bright screen"]


def predictions(running: Running, rows: list[object], **more: object) -> list[dict[str, object]]:
    with running.client() as client:
        found = client.post("/models/reviews/predict", json={"rows": rows, **more})
    assert found.status_code == 200, found.text
    predicted: list[dict[str, object]] = found.json()["predictions"]
    return predicted


def test_the_predictions_are_those_of_the_library(reviews: Running, reviews_run: Path) -> None:
    model = bt.load(reviews_run, settings={"machine.threads": 1})
    expected = [{"label": p.label, "probabilities": p.probabilities} for p in model.predict(TEXTS)]
    for found in (predictions(reviews, list(TEXTS)), predictions(reviews, [{"text": t} for t in TEXTS])):
        for one, other in zip(found, expected, strict=True):
            assert one["label"] == other["label"]
            assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


def test_many_clients_at_once_each_get_their_own_answers(reviews: Running) -> None:
    rows = [f"{word} lamp number {number} {'very ' * (number % 9)}" for number, word in enumerate(TEXTS * 20)]
    alone = predictions(reviews, list(rows))
    with ThreadPoolExecutor(8) as pool:
        apart = list(pool.map(lambda row: predictions(reviews, [row])[0], rows))
    for one, other in zip(apart, alone, strict=True):
        assert one["probabilities"] == pytest.approx(other["probabilities"], abs=1e-6)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"rows": ["good", " "]}, 422, "text 2 of 2 is blank"),
        ({"rows": [""]}, 422, "the text is blank"),
        ({"rows": ["good", "so " * 70]}, 413, "text 2 of 2 has 72 tokens, but this model reads at most 64"),
        ({"rows": "good"}, 422, "rows must be a list"),
        ({"rows": ["good", 5]}, 422, "item 1 of the list is 5"),
        ({"rows": [{"x": "good", "y": "bad"}]}, 422, 'In training, the text column was "text"'),
        ({"rows": ["good"], "truncated": True}, 422, 'unknown key "truncated"'),
        ({"rows": ["good"], "truncate": "yes"}, 422, "truncate must be true or false"),
        ({"rows": ["x"] * 1001}, 413, "the request has 1,001 texts, but at most 1,000"),
        (["good"], 400, "must be a JSON object"),
    ],
)
def test_a_refusal_says_which_text_is_wrong(
    reviews: Running, body: object, status: int, message: str
) -> None:
    with reviews.client() as client:
        found = client.post("/models/reviews/predict", json=body)
    assert found.status_code == status, found.text
    assert message in found.json()["error"]


def test_malformed_json_and_nesting_are_refused(reviews: Running) -> None:
    with reviews.client() as client:
        broken = client.post("/models/reviews/predict", content=b'{"rows": ["a')
        empty = client.post("/models/reviews/predict")
        deep = client.post("/models/reviews/predict", content=b'{"rows": ' + b"[" * 500 + b"]" * 500 + b"}")
        not_unicode = client.post("/models/reviews/predict", content=b'{"rows": ["\xff"]}')
    assert [r.status_code for r in (broken, empty, deep, not_unicode)] == [400, 400, 422, 400]
    assert "empty" in empty.json()["error"]


def test_long_texts_are_truncated_only_on_request(reviews: Running, reviews_run: Path) -> None:
    text = "great " + "so " * 70
    model = bt.load(reviews_run, settings={"machine.threads": 1})
    found = predictions(reviews, [text], truncate=True)
    assert found[0]["probabilities"] == pytest.approx(model.predict([text])[0].probabilities, abs=1e-6)


def test_an_unknown_model_is_not_found(reviews: Running) -> None:
    with reviews.client() as client:
        found = client.post("/models/review/predict", json={"rows": ["good"]})
        path = client.get("/nothing/here")
        method = client.get("/models/reviews/predict")
    assert (found.status_code, path.status_code, method.status_code) == (404, 404, 405)
    assert 'Did you mean "reviews"?' in found.json()["error"]


def test_no_rows_have_no_predictions(reviews: Running) -> None:
    assert predictions(reviews, []) == []


def test_several_models_answer_under_their_names(reviews_run: Path) -> None:
    with serving([f"first={reviews_run}", reviews_run, reviews_run]) as running, running.client() as client:
        names = [model["name"] for model in client.get("/models").json()["models"]]
        assert names == ["first", "reviews", "reviews-2"]
        for name in names:
            found = client.post(f"/models/{name}/predict", json={"rows": ["a lovely lamp"]})
            assert found.json()["predictions"][0]["label"] in {"good", "bad"}


def test_the_facts_of_a_model(reviews: Running, reviews_run: Path) -> None:
    with reviews.client() as client:
        facts = client.get("/models").json()["models"][0]
    assert facts["task"] == "classification"
    assert facts["labels"] == ["bad", "good"]
    assert facts["max_length"] == 64
    assert facts["weights_sha256"] == bt_sha(reviews_run)


def bt_sha(run: Path) -> str:
    from bertune.files import sha256_of

    return sha256_of(run / "model" / "model.safetensors")


def test_a_failing_model_fails_the_requests_of_its_batch_only(reviews_run: Path) -> None:
    from bertune.errors import ResourceError

    class Failing:
        def __init__(self, served: ServedModel) -> None:
            self.inner = served.model.backend
            self.fails = True

        @property
        def runtime(self) -> object:
            return self.inner.runtime

        def __call__(self, sequences: object, poll: object = None) -> object:
            if self.fails:
                raise ResourceError("out of memory for 1 text")
            return self.inner(sequences)  # type: ignore[arg-type]

    failing: list[Failing] = []

    def change(models: dict[str, ServedModel]) -> dict[str, ServedModel]:
        served, backend = held(models["reviews"])
        backend.let()
        failing.append(Failing(served))
        backend._backend = failing[0]  # type: ignore[assignment]
        return {"reviews": served}

    with serving([reviews_run], change=change) as running, running.client() as client:
        first = client.post("/models/reviews/predict", json={"rows": ["good"]})
        failing[0].fails = False
        second = client.post("/models/reviews/predict", json={"rows": ["good"]})
    assert first.status_code == 503
    assert "out of memory" in first.json()["error"]
    assert second.status_code == 200
