"""Metrics and drift: what the service counts, which is never a text."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from running import serving

from bertune.serve.drift import NONE, WINDOW, Drift, Profile, difference, observed, profile_of


def samples(page: str) -> dict[tuple[str, ...], float]:
    """The values of a page of metrics by name and label values, sorted by label name."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(page)
        for sample in family.samples
    }


def test_the_metrics_count_requests_tokens_and_batches(reviews_run: Path) -> None:
    with serving([reviews_run]) as running, running.client() as client:
        for _ in range(3):
            client.post("/models/reviews/predict", json={"rows": ["a lovely lamp", "great"]})
        client.post("/models/reviews/predict", json={"rows": [" "]})
        client.get("/the/secret/text")
        page = client.get("/metrics")
    assert page.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert "secret" not in page.text
    found = samples(page.text)
    endpoint = "/models/{name}/predict"
    assert found["bertune_requests_total", endpoint, "200"] == 3
    assert found["bertune_requests_total", endpoint, "422"] == 1
    assert found["bertune_requests_total", "unmatched", "404"] == 1
    assert found["bertune_refused_requests_total", "invalid"] == 1
    assert found["bertune_request_seconds_count", endpoint] == 4
    assert found["bertune_rows_total", "reviews"] == 6
    assert found["bertune_tokens_total", "reviews"] == 3 * (5 + 3)
    assert found["bertune_padded_tokens_total", "reviews"] >= 3 * (5 + 3)
    assert found["bertune_batch_sequences_sum", "reviews"] == 6
    assert found["bertune_queue_seconds_count", "reviews"] == 6
    assert found["bertune_queued_tokens", "reviews"] == 0


def test_drift_compares_what_is_served_with_the_training(reviews_run: Path) -> None:
    with serving([reviews_run, f"same={reviews_run}"]) as running, running.client() as client:
        for rows in (["great lamp"] * 5, ["zzz qqq xyz"] * 5):
            client.post("/models/reviews/predict", json={"rows": rows})
        found = samples(client.get("/metrics").text)
        drift = client.get("/models/reviews/info").json()["drift"]
    assert found["bertune_unknown_token_share", "training", "reviews"] == 0
    assert 0.25 < found["bertune_unknown_token_share", "served", "reviews"] < 0.35  # 3 of 5 tokens, or 0 of 4
    assert found["bertune_tokens_per_row", "served", "reviews"] == pytest.approx(4.5, abs=0.01)
    assert ("bertune_unknown_token_share", "served", "same") not in found  # not asked anything
    shares = [
        found.get(("bertune_label_share", "training", label, "reviews"), 0.0) for label in ("bad", "good")
    ]
    assert sum(shares) == pytest.approx(1)
    assert drift["served"]["rows"] == 10
    assert drift["training"]["rows"] > 0
    assert drift["difference"]["means"]["unknown_token_share"] == pytest.approx(0.3, abs=0.01)
    assert "great" not in str(drift)


@pytest.mark.parametrize(
    ("prediction", "labels", "numbers"),
    [
        ({"label": "a", "probabilities": {"a": 0.7, "b": 0.3}}, ["a"], {"confidence": 0.7}),
        (
            {"labels": ["a", "b"], "probabilities": {"a": 0.7, "b": 0.6, "c": 0.1}},
            ["a", "b"],
            {"confidence": 0.7},
        ),
        ({"labels": [], "probabilities": {"a": 0.2}}, [NONE], {"confidence": 0.2}),
        (
            {"spans": [{"label": "P", "score": 0.5}, {"label": "P", "score": 1.0}]},
            ["P"],
            {"confidence": 0.75},
        ),
        ({"spans": [], "tags": ["O"]}, [NONE], {}),
        ({"answer": "x", "score": 0.4}, ["(answer)"], {"confidence": 0.4}),
        ({"answer": None, "score": 0.9}, [NONE], {"confidence": 0.9}),
        ({"choice": "x", "index": 0, "probabilities": [0.9, 0.1]}, [], {"confidence": 0.9}),
        ({"value": 3.5}, [], {"value": 3.5}),
        ({"vector": [1.0], "similarities": None}, [], {}),
    ],
)
def test_what_is_observed_of_a_prediction(
    prediction: dict[str, object], labels: list[str], numbers: dict[str, float]
) -> None:
    assert observed(prediction) == (labels, numbers)


def test_recent_predictions_weigh_more() -> None:
    drift = Drift(None, None)
    drift.add([{"label": "old"}] * 5 * WINDOW, [])
    drift.add([{"label": "new"}] * WINDOW, [])
    shares = drift.served.label_shares
    assert shares["new"] == pytest.approx(1 - 1 / 2.718, abs=0.02)
    assert sum(shares.values()) == pytest.approx(1)


@given(st.lists(st.sampled_from("abc"), min_size=1, max_size=50))
def test_shares_are_those_of_the_labels(labels: list[str]) -> None:
    profile = profile_of([{"label": label} for label in labels])
    assert profile.label_shares == pytest.approx({x: labels.count(x) / len(labels) for x in set(labels)})


def test_the_largest_change_is_reported() -> None:
    found = difference(Profile(9, {"a": 0.9, "b": 0.1}, {"value": 2.0}), Profile(9, {"a": 0.5, "c": 0.5}, {}))
    assert (found["label"], found["label_share"], found["means"]) == ("c", -0.5, {})
