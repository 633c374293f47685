"""Label Studio's ML-backend protocol: requests as Label Studio sends them, results as it stores them."""

from collections.abc import Callable
from typing import Any

import pytest
from running import Running

from bertune.predict.model import Model

Library = Callable[[str], Model]

TONE = """
<View>
  <Header value="Is this a good review?"/>
  <Text name="review" value="$text"/>
  <Choices name="tone" toName="review" choice="single" showInLine="true">
    <Choice value="good"/>
    <Choice value="Bad!" alias="bad"/>
  </Choices>
</View>
"""
TOPICS = """
<View>
  <Text name="review" value="$body"/>
  <Choices name="topics" toName="review" choice="multiple">
    <Choice value="screen"/><Choice value="sound"/>
  </Choices>
</View>
"""
ENTITIES = """
<View>
  <Labels name="label" toName="text">
    <Label value="THING" background="red"/><Label value="PLACE" background="darkorange"/>
  </Labels>
  <Text name="text" value="$text"/>
</View>
"""
STARS = '<View><Text name="t" value="$text"/><Rating name="stars" toName="t" maxRating="3"/></View>'
NUMBER = '<View><Text name="t" value="$text"/><Number name="score" toName="t" min="0"/></View>'


def setup(config: str) -> dict[str, Any]:
    """The body of a setup request."""
    return {
        "project": "1.1606205300",
        "schema": config,
        "hostname": "http://localhost:8080",
        "access_token": "none",
        "extra_params": None,
    }


def task(number: int, **data: object) -> dict[str, Any]:
    """A task as Label Studio sends it."""
    return {
        "id": number,
        "data": data,
        "meta": {},
        "created_at": "2026-11-20T10:00:00.000000Z",
        "updated_at": "2026-11-20T10:00:00.000000Z",
        "is_labeled": False,
        "overlap": 1,
        "project": 1,
        "file_upload": None,
        "annotations": [],
        "predictions": [],
    }


def predict(config: str, *tasks: dict[str, Any]) -> dict[str, Any]:
    """The body of a predict request."""
    return {
        "tasks": list(tasks),
        "model_version": None,
        "project": "1.1606205300",
        "label_config": config,
        "params": {"login": None, "password": None, "context": None},
    }


def post(running: Running, path: str, body: object, status: int = 200) -> Any:
    with running.client() as client:
        found = client.post(path, json=body)
    assert found.status_code == status, found.text
    return found.json()


def test_a_project_is_connected_and_prelabelled(reviews: Running, library: Library) -> None:
    with reviews.client() as client:
        assert client.get("/label-studio/health").json()["status"] == "UP"
    version = post(reviews, "/label-studio/setup", setup(TONE))["model_version"]
    assert version.startswith("reviews-")
    text = "a lovely lamp"
    body = predict(TONE, task(7, text=text), task(8, text="the pump broken"), task(9, text=" "))
    found = post(reviews, "/label-studio/predict", body)["results"]
    (prediction,) = library("reviews").predict([text])
    score = pytest.approx(max(prediction.probabilities.values()), abs=1e-6)
    assert found[0] == {
        "result": [
            {
                "from_name": "tone",
                "to_name": "review",
                "type": "choices",
                "value": {"choices": [prediction.label]},
                "score": score,
            }
        ],
        "score": score,
        "model_version": version,
    }
    assert len(found) == 3
    assert found[2]["result"] == []  # a task without text


def test_several_choices(every: Running, library: Library) -> None:
    model = library("topics")
    texts = ["my phone", "the screen is clear", "the pump", "a lamp is a lamp", "so late and so slow"]
    found = post(
        every,
        "/models/topics/label-studio/predict",
        predict(TOPICS, *(task(i, body=text) for i, text in enumerate(texts))),
    )["results"]
    for one, prediction in zip(found, model.predict(texts), strict=True):
        expected = [label for label in prediction.labels if label != "battery"]  # not in the configuration
        assert [choice for region in one["result"] for choice in region["value"]["choices"]] == expected
        assert 0.5 <= one["score"] <= 1


def test_spans_of_characters(every: Running, library: Library) -> None:
    text = "my 🙂 phone is in the house"
    (found,) = post(every, "/models/entities/label-studio/predict", predict(ENTITIES, task(1, text=text)))[
        "results"
    ]
    (expected,) = library("entities").predict([text])
    regions = found["result"]
    assert regions, "a model without training tags something"
    assert [(r["value"]["start"], r["value"]["end"], r["value"]["labels"]) for r in regions] == [
        (span["start"], span["end"], [span["label"]]) for span in expected.spans
    ]
    for region in regions:
        value = region["value"]
        assert text[value["start"] : value["end"]] == value["text"]
        assert (region["from_name"], region["to_name"], region["type"]) == ("label", "text", "labels")
    assert len({region["id"] for region in regions}) == len(regions)
    assert found["score"] == pytest.approx(sum(r["score"] for r in regions) / len(regions))


def test_numbers_and_ratings(every: Running, library: Library) -> None:
    text = "my phone is very clear"
    (expected,) = library("stars").predict([text])
    path = "/models/stars/label-studio/predict"
    (found,) = post(every, path, predict(NUMBER, task(1, text=text)))["results"]
    (region,) = found["result"]
    assert region["type"] == "number"
    assert region["value"]["number"] == pytest.approx(expected.value, abs=1e-5)
    (found,) = post(every, path, predict(STARS, task(1, text=text)))["results"]
    (region,) = found["result"]
    assert region["type"] == "rating"
    assert region["value"]["rating"] == min(max(round(expected.value), 1), 3)


def test_long_texts_are_truncated_by_a_backend_of_its_own(reviews: Running) -> None:
    body = predict(TONE, task(1, text="so " * 70))
    assert "has 72 tokens" in post(reviews, "/label-studio/predict", body, 413)["error"]
    assert post(reviews, "/label-studio/truncate/setup", setup(TONE))
    assert len(post(reviews, "/label-studio/truncate/predict", body)["results"]) == 1


@pytest.mark.parametrize(
    ("name", "config", "message"),
    [
        ("decisions", TONE, 'the labels good, bad of the tag "tone" are not labels of the model "decisions"'),
        ("topics", TOPICS.replace('choice="multiple"', ""), 'Add choice="multiple" to the tag "topics"'),
        ("topics", TOPICS.replace("screen", "scream"), 'Did you mean "screen"?'),
        ("topics", ENTITIES, "has no Choices tag"),
        ("entities", TONE, "has no Labels tag"),
        (
            "entities",
            ENTITIES.replace('toName="text"', 'toName="words"'),
            'refers to "words", which is not a tag',
        ),
        ("entities", ENTITIES.replace("$text", "a text"), 'refers to "text", which is not a tag'),
        (
            "entities",
            ENTITIES.replace('value="$text"', 'value="$text" valueType="url"'),
            "which is not a tag",
        ),
        ("stars", STARS.replace("</View>", '<Rating name="b" toName="t"/></View>'), "several tags"),
        ("stars", "<View>", "is not valid XML"),
        ("stars", '<!DOCTYPE a [<!ENTITY a "b">]><View>&a;</View>', "must not have a document type"),
        ("answers", TONE, "needs a model that predicts"),
    ],
)
def test_a_configuration_that_does_not_fit_the_model_is_refused(
    every: Running, name: str, config: str, message: str
) -> None:
    assert message in post(every, f"/models/{name}/label-studio/setup", setup(config), 422)["error"]


def test_all_labels_of_a_single_choice_must_be_offered(reviews: Running) -> None:
    config = TONE.replace('<Choice value="Bad!" alias="bad"/>', "")
    assert (
        'also predicts bad. Add these labels to the tag "tone"'
        in post(reviews, "/label-studio/setup", setup(config), 422)["error"]
    )


def test_the_tag_whose_options_are_labels_is_used(reviews: Running) -> None:
    other = '<Choices name="sure" toName="review"><Choice value="yes"/><Choice value="no"/></Choices>'
    config = TONE.replace("</View>", f"{other}</View>")
    (found,) = post(reviews, "/label-studio/predict", predict(config, task(1, text="great")))["results"]
    assert found["result"][0]["from_name"] == "tone"


def test_a_task_without_the_text_is_named(reviews: Running) -> None:
    body = predict(TONE, task(1, text="great"), task(2, body="great"))
    refused = post(reviews, "/label-studio/predict", body, 422)
    assert 'the data of task 2 has no text under the key "text"' in refused["error"]
