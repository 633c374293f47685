"""The service explains a prediction within the limits of requests, and while it answers others."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from running import Running, held, serving

import bertune as bt
from bertune.predict.explaining import explain
from bertune.serve.service import ServedModel

EXPLAIN = "/models/reviews/explain"
TEXT = "a lovely lamp with a broken switch 🙂 and a great shade"


def explanation(running: Running, **body: Any) -> dict[str, Any]:
    with running.client() as client:
        found = client.post(EXPLAIN, json=body)
    assert found.status_code == 200, found.text
    answer: dict[str, Any] = found.json()
    return answer


def test_an_explanation_is_that_of_the_library(reviews: Running, reviews_run: Path) -> None:
    model = bt.load(reviews_run, settings={"machine.threads": 1})
    read = model.tokenize([TEXT])
    for target in (None, "good", "bad"):
        found = explanation(reviews, row=TEXT, target=target)
        expected = explain(model, read, model.backend(read.sequences).outputs, target)
        assert found["target"] == expected.target == (target or model.predict([TEXT])[0].label)
        assert found["texts"] == [TEXT]
        assert [(w["start"], w["end"]) for w in found["words"]] == [(w.start, w.end) for w in expected.words]
        contributions = [w["contribution"] for w in found["words"]]
        assert contributions == pytest.approx([w.contribution for w in expected.words], abs=1e-4)
        assert sum(contributions) == pytest.approx(found["value"] - found["baseline"], abs=0.05)


@pytest.mark.parametrize(
    ("body", "status", "message"),
    [
        ({"row": "so " * 70}, 413, "has 72 tokens, but this model reads at most 64"),
        ({"row": " "}, 422, "is blank"),
        ({"rows": ["good"]}, 422, 'unknown key "rows". Expected keys: row, target, truncate'),
        ({}, 422, "row is missing"),
        ({"row": "good", "target": "goood"}, 422, 'Did you mean "good"?'),
        ({"row": "good", "target": 1}, 422, 'the target "1" is not a label'),
        ({"row": "good", "target": ["good"]}, 422, "target must be a label, a position or null"),
        ({"row": "good", "truncate": 1}, 422, "truncate must be true or false"),
    ],
)
def test_what_cannot_be_explained_is_refused(
    reviews: Running, body: dict[str, Any], status: int, message: str
) -> None:
    with reviews.client() as client:
        found = client.post(EXPLAIN, json=body)
    assert (found.status_code, message in found.json()["error"]) == (status, True), found.text


def test_a_long_text_is_explained_where_it_is_read(reviews: Running) -> None:
    found = explanation(reviews, row="so great " * 40, truncate=True)
    read = [word for word in found["words"] if word["contribution"]]
    assert 40 < len(read) <= 62


def test_predictions_are_the_same_beside_explanations(reviews: Running) -> None:
    rows = [f"{TEXT} {number}" for number in range(30)]

    def predict(row: str) -> dict[str, Any]:
        with reviews.client() as client:
            found: dict[str, Any] = client.post("/models/reviews/predict", json={"rows": [row]}).json()
        return found

    alone = [predict(row) for row in rows]
    with ThreadPoolExecutor(8) as pool:
        explaining = [pool.submit(explanation, reviews, row=row) for row in rows[:4]]
        beside = list(pool.map(predict, rows))
        explained = [future.result() for future in explaining]
    for one, other in zip(beside, alone, strict=True):
        assert one["predictions"][0]["probabilities"] == pytest.approx(
            other["predictions"][0]["probabilities"], abs=1e-6
        )
    assert all(one["words"] for one in explained)


def test_explanations_wait_in_the_queue_within_its_limits(reviews_run: Path) -> None:
    changed: list[Any] = []

    def change(models: dict[str, ServedModel]) -> dict[str, ServedModel]:
        served, backend = held(models["reviews"])
        changed.append(backend)
        return {"reviews": served}

    limits = {"serve": {"max_queued_tokens": 10, "timeout": 0.2}}
    with serving([reviews_run], limits, change=change) as running, running.client() as client:
        too_large = client.post(EXPLAIN, json={"row": TEXT})
        too_late = client.post(EXPLAIN, json={"row": "great"})
        changed[0].let()
    assert (too_large.status_code, too_late.status_code) == (413, 503)
    assert "serve.timeout" in too_late.json()["error"]


def test_the_facts_of_a_model_say_what_can_be_explained_and_written(reviews: Running) -> None:
    with reviews.client() as client:
        answer = client.get("/models").json()
    facts = answer["models"][0]
    assert facts["explains"] is True
    assert facts["form"]["fields"] == [{"name": "text", "kind": "text"}]
    assert facts["writes"] == ["csv", "jsonl", "parquet"]
    assert {".csv", ".tsv", ".jsonl", ".xlsx", ".parquet"} <= set(answer["files"]["read"])
