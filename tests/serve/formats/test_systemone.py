"""System One: the model answers questions about its own labels, exactly as transformers computes answers."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
from jevcompat.mock import MockConfig
from jevcompat.mock import Running as Mock
from jevcompat.runner import run
from running import Running, serving
from transformers.decision import DecisionConfig
from transformers.decision.template_utils import Question
from typesafe_sdk import Choice, Noul, Score, TypeSafeClient
from typesafe_sdk import TypeSafeUnprocessableEntityError as Unprocessable
from untrained import DECISIONS

from bertune.errors import ConfigError
from bertune.predict.model import Model
from bertune.serve import typed_answers
from bertune.serve.formats.systemone import router

Library = Callable[[str], Model]
TEXT = "a lovely lamp"


def ask(running: Running, questions: object, status: int = 200, **more: object) -> Any:
    """The JSON answer to questions about TEXT."""
    with running.client() as client:
        body = {"model": "jev-latest", "state": TEXT, "questions": questions, **more}
        found = client.post("/v1/systemone", json=body)
    assert found.status_code == status, found.text
    return found.json()


def choice(*options: str) -> dict[str, Any]:
    return {"type": "choice", "criteria": dict.fromkeys(options)}


@pytest.mark.parametrize("num", [1, 2, 3, 7])
def test_answers_are_computed_as_in_transformers(num: int) -> None:
    draw = random.Random(num)
    for _ in range(20):
        odds = {f"label {i}": draw.random() ** 3 for i in range(num)}
        shares = {label: odd / sum(odds.values()) for label, odd in odds.items()}
        options = list(shares)
        rivals = {
            "choice": {"type": "choice", "criteria": dict.fromkeys(options)},
            "score": {"type": "score", "criteria": options},
        }
        found = {
            "choice": typed_answers.choice(options, shares),
            "score": typed_answers.score(options, options, shares),
        }
        for kind, question in rivals.items():
            expected = Question.from_request("q", question, DecisionConfig()).answer(list(shares.values()))
            assert found[kind].keys() == expected.keys()
            for key, value in expected.items():
                same = value if isinstance(value, str) or key == "legend" else pytest.approx(value, abs=1e-12)
                assert found[kind][key] == same, key


def test_a_subset_of_the_labels_is_renormalised(every: Running, library: Library) -> None:
    (everything,) = library("decisions").predict_proba([TEXT])
    chance = dict(zip(library("decisions").labels, everything, strict=True))
    options = ("Sales", "Billing", "환불 요청")
    total = sum(chance[option] for option in options)
    found = ask(every, {"q": choice(*options)})["answers"]["q"]
    assert found["probabilities"] == pytest.approx({o: chance[o] / total for o in options}, abs=1e-6)
    assert found["choice"] == max(options, key=chance.__getitem__)
    best = max(chance[o] for o in options) / total
    assert found["confidence"] == pytest.approx((best - 1 / 3) / (1 - 1 / 3), abs=1e-5)


def test_the_client_of_typesafe_reads_the_answers(reviews: Running, library: Library) -> None:
    (bad, good), _ = library("reviews").predict_proba([TEXT, TEXT])
    with TypeSafeClient(api_key="none", base_url=reviews.url) as client:
        found = client.system_one(
            state={"text": TEXT},
            questions={
                "tone": Choice(criteria={"good": "praise", "bad": None}),
                "stars": Score(criteria=["bad", "good"]),
                "is_good": Noul(instructions="good"),
            },
        )
        listed = client.models.list().models
    assert found.model == "reviews"
    assert found.usage.input_tokens == 5
    assert found.choices["tone"].probabilities == pytest.approx({"good": good, "bad": bad}, abs=1e-6)
    assert found.scores["stars"].score == pytest.approx(good, abs=1e-6)
    assert found.scores["stars"].legend == {0: "bad", 1: "good"}
    assert found.nouls["is_good"].noul == pytest.approx(good, abs=1e-6)
    assert [(one.name, one.description) for one in listed] == [
        ("reviews", "classification with the labels bad, good")
    ]
    with TypeSafeClient(api_key="none", base_url=reviews.url) as client, pytest.raises(Unprocessable) as info:
        client.system_one(state=TEXT, questions={"tone": Choice(criteria={"good": None, "great": None})})
    assert '"great" is not a label of this model' in str(info.value)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"instructions": "true"}, lambda p: p["true"]),
        ({"instructions": "Is it urgent?"}, lambda p: p["true"] / (p["true"] + p["false"])),
        ({"criteria": {"true": "Sales"}}, lambda p: p["Sales"]),
        ({"criteria": {"false": "Sales"}}, lambda p: 1 - p["Sales"]),
        ({"instructions": "Sales", "criteria": {"false": "all else"}}, lambda p: p["Sales"]),
        ({"criteria": {"true": "Red", "false": "Blue"}}, lambda p: p["Red"] / (p["Red"] + p["Blue"])),
        ({"instructions": "Red", "criteria": {"false": "Blue"}}, lambda p: p["Red"] / (p["Red"] + p["Blue"])),
    ],
)
def test_yes_is_a_label_and_no_another_one_or_all_others(
    every: Running, library: Library, question: dict[str, Any], expected: Callable[[dict[str, float]], float]
) -> None:
    (everything,) = library("decisions").predict_proba([TEXT])
    chance = dict(zip(library("decisions").labels, everything, strict=True))
    found = ask(every, {"q": {"type": "noul", **question}})
    assert found["answers"]["q"]["noul"] == pytest.approx(expected(chance), abs=1e-6)


def test_several_labels_are_asked_for_one_by_one(every: Running, library: Library) -> None:
    questions = {label: {"type": "noul", "instructions": label} for label in ("battery", "screen")}
    found = ask(every, questions, model="topics")
    expected = library("topics").predict([TEXT])[0].probabilities
    for label in questions:
        assert found["answers"][label]["noul"] == pytest.approx(expected[label], abs=1e-6)


@pytest.mark.parametrize(
    ("model", "question", "place", "message"),
    [
        ("decisions", choice("Sales", "Salt"), ["choice", "criteria"], 'Did you mean "Sales"?'),
        ("decisions", choice("sales", "Billing"), ["choice", "criteria"], '"sales" is not a label'),
        (
            "decisions",
            {"type": "score", "criteria": ["Calm", "Calm"]},
            ["score", "criteria"],
            "the same label",
        ),
        (
            "decisions",
            {"type": "score", "criteria": [["Calm"]]},
            ["score", "criteria"],
            "a level must be a label",
        ),
        (
            "decisions",
            {"type": "noul", "instructions": "Red", "criteria": {"true": "Blue"}},
            ["noul", "criteria"],
            "name different labels",
        ),
        (
            "topics",
            {"type": "noul", "instructions": "Any?"},
            ["noul", "criteria"],
            "must be a label of this model",
        ),
        ("topics", choice("battery", "screen"), ["choice", "criteria"], "Ask a noul question for each label"),
        (
            "topics",
            {"type": "noul", "criteria": {"true": "battery", "false": "screen"}},
            ["noul", "criteria"],
            'Leave out "false"',
        ),
        ("stars", choice("1", "2"), ["choice", "criteria"], '"stars" predicts value (use /predict)'),
        (
            "decisions",
            {"type": "score", "criteria": [{"label": "Calm", "weight": 10**20}]},
            ["score", "criteria"],
            "cannot be repeated in the answer",
        ),
        ("decisions", {"type": "box"}, [], "does not match any of the expected tags"),
        ("decisions", {"type": "choice", "criteria": {}}, ["choice", "criteria"], "at least 1 item"),
    ],
)
def test_other_questions_get_422_with_their_place(
    every: Running, model: str, question: object, place: list[str], message: str
) -> None:
    (problem,) = ask(every, {"my question": question}, 422, model=model)["detail"]
    assert problem["loc"] == ["body", "questions", "my question", *place]
    assert message in problem["msg"]


def test_all_unanswerable_questions_are_reported(every: Running) -> None:
    found = ask(
        every, {"a": choice("Salt"), "b": choice("Sales"), "c": choice("Pepper")}, 422, model="decisions"
    )
    assert [problem["loc"][2] for problem in found["detail"]] == ["a", "c"]


def test_the_state_is_what_the_model_reads(every: Running, library: Library) -> None:
    model, question = library("decisions"), {"q": choice("Sales", "Red")}
    for state, text in (
        (TEXT, TEXT),
        ({"text": TEXT, "other": "ignored"}, TEXT),
        ({"subject": TEXT, "number": 3}, f'{{"subject": "{TEXT}", "number": 3}}'),
        ([TEXT, "ünï"], f'["{TEXT}", "ünï"]'),
    ):
        chance = dict(zip(model.labels, model.predict_proba([text])[0], strict=True))
        found = ask(every, question, state=state)["answers"]["q"]["probabilities"]["Red"]
        assert found == pytest.approx(chance["Red"] / (chance["Red"] + chance["Sales"]), abs=1e-6)


def test_states_and_models_that_do_not_exist_are_refused(every: Running) -> None:
    (problem,) = ask(every, {"q": choice("Sales", "Red")}, 422, state=" ")["detail"]
    assert problem["loc"] == ["body", "state"] and "is blank" in problem["msg"]
    found = ask(every, {"q": choice("Sales", "Red")}, 404, model="jev-2")["detail"]
    assert found["error_type"] == "not_found" and "topics, stars" in found["message"]
    (problem,) = ask(every, {"q": choice("Salt", "Pepper")}, 422)["detail"]
    assert "no single model can answer the questions" in problem["msg"]
    found = ask(every, {"q": choice("Sales", "Red")}, 413, state="so " * 200)["detail"]
    assert found["error_type"] == "request_too_large" and "202 tokens" in found["message"]
    assert ask(every, {"q": choice("Sales", "Red")}, state="so " * 200, truncate=True)["answers"]
    assets = {"img-1": {"type": "image", "data_base64": ""}}
    (problem,) = ask(every, {"q": choice("Sales", "Red")}, 422, assets=assets)["detail"]
    assert problem["loc"] == ["body", "assets"]


def test_the_specification_of_jevcompat_is_met(every: Running) -> None:
    """A model with the labels that jevcompat asks for meets every requirement that needs no bearer token."""
    report = run(every.url)
    failed = {r.id: [f.message for f in r.findings] for r in report.results if r.status == "fail"}
    assert failed == {}
    assert report.verdict == "conformant"
    skipped = {r.id for r in report.results if r.status == "skip"}
    assert skipped == {"auth.bearer", "auth.missing", "auth.invalid"}  # in test_token.py
    assert report.info["limits"]["choice options accepted up to"] == 255
    assert len(DECISIONS) > 255


@pytest.fixture(scope="module")
def upstream() -> Iterator[Mock]:
    """Another System One service, which answers any question, for clients with a key."""
    with Mock(MockConfig(key="upstream-key")) as found:
        yield found


@pytest.fixture(scope="module")
def forwarding(reviews_run: Any, upstream: Mock) -> Iterator[Running]:
    """A service that forwards what its model cannot answer."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TYPESAFE_API_KEY", "upstream-key")
        with serving([reviews_run], fallback=upstream.url) as found:
            yield found


def test_other_questions_are_forwarded(forwarding: Running, reviews: Running) -> None:
    own, other = choice("good", "bad"), choice("Billing", "Sales")
    urgent = {"type": "noul", "instructions": "Is it urgent?"}
    found = ask(forwarding, {"team": other, "tone": own, "urgent": urgent})
    alone = ask(reviews, {"tone": own})
    assert list(found["answers"]) == ["team", "tone", "urgent"]
    assert found["answers"]["tone"] == alone["answers"]["tone"]
    assert set(found["answers"]["team"]["probabilities"]) == {"Billing", "Sales"}
    assert found["x_forwarded"] == ["team", "urgent"]
    assert found["usage"]["input_tokens"] > alone["usage"]["input_tokens"] == 5
    assert found["model"] == "reviews"
    assert "x_forwarded" not in ask(forwarding, {"tone": own})


def test_requests_for_another_model_are_forwarded_as_they_are(forwarding: Running) -> None:
    found = ask(forwarding, {"tone": choice("good", "bad")}, model="mock")
    assert found["model"] == "jevcompat-mock-0.1"


def test_what_the_fallback_refuses_is_refused(forwarding: Running) -> None:
    found = ask(forwarding, {"tone": choice("good", "bad"), "where": {"type": "box"}}, 422)
    assert found["detail"][0]["loc"][:3] == ["body", "questions", "where"]
    assert (
        ask(forwarding, {"tone": choice("good")}, 400, model="none")["detail"]["error_type"]
        == "api_usage_error"
    )


def test_a_fallback_that_does_not_answer_is_a_bad_gateway(reviews_run: Any) -> None:
    with Mock() as mock:
        closed = mock.url
    with serving([reviews_run], fallback=closed) as running:
        assert ask(running, {"tone": choice("good", "bad")})["model"] == "reviews"
        found = ask(running, {"team": choice("Billing", "Sales")}, 502)
    assert found["detail"]["error_type"] == "upstream_error"
    assert "ConnectError" in found["detail"]["message"]


def test_a_fallback_must_be_a_url(reviews: Running) -> None:
    with pytest.raises(ConfigError, match="must be a URL such as http://localhost:8001, got localhost:8001"):
        router(replace(reviews.service, fallback="localhost:8001"))


def test_a_yes_or_no_answer_needs_some_probability() -> None:
    assert typed_answers.noul("a", None, {"a": 0.25, "b": 0.75}) == {"type": "noul", "noul": 0.25}
    assert typed_answers.noul(None, "a", {"a": 0.25, "b": 0.75}) == {"type": "noul", "noul": 0.75}
