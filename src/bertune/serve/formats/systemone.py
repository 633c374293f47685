"""The System One format: POST /v1/systemone, typed questions about a text, as in TypeSafe's API.

A model answers the questions whose options are its labels, with its own probabilities; it does not read
descriptions of options. All other questions get 422, or are forwarded to another service.
Requests and answers follow `transformers serve` 5.23 (`cli/serving/systemone.py`).
"""

import json
import os
import urllib.parse
from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

import httpx
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError
from starlette.responses import Response

from bertune.errors import ConfigError, did_you_mean, listed
from bertune.serve.endpoints import Body, Endpoints, InvalidBody, abilities, counting, problems_of
from bertune.serve.formats.tei import Truncate
from bertune.serve.refusals import BadGateway, ErrorBody, NotFound, Refusal
from bertune.serve.replies import to_bytes
from bertune.serve.service import ServedModel, Service
from bertune.serve.typed_answers import Probabilities, choice, decided, noul, score, with_probabilities

_PATH = "/v1/systemone"
_ALIAS = "jev-latest"  # the default model of TypeSafe's clients, which every server has to accept
_KEY = "TYPESAFE_API_KEY"  # environment variable with the key for the fallback, as in TypeSafe's clients
# Statuses of the fallback that are about the request, so that the client can do something about them.
_PASSED_ON = (400, 404, 413, 422, 429)

Content = str | dict[str, Any] | list[Any]
Plan = Callable[[Probabilities], dict[str, Any]]  # the answer to a question


class _Question(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)

    instructions: Content | None = None


class _Sides(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

    true: Content | None = None
    false: Content | None = None


class _Noul(_Question):
    type: Literal["noul"]
    criteria: _Sides | None = None


class _Choice(_Question):
    type: Literal["choice"]
    criteria: dict[str, Content | None] = Field(min_length=1)


class _Score(_Question):
    type: Literal["score"]
    criteria: list[Content] = Field(min_length=1)


AnyQuestion = _Noul | _Choice | _Score
Questions = dict[str, AnyQuestion]
_QUESTION: TypeAdapter[AnyQuestion] = TypeAdapter(Annotated[AnyQuestion, Field(discriminator="type")])


class _Request(Body):
    model: str = Field(description=f"the name of a model; or {_ALIAS}, if only one fits")
    state: Content = Field(description="a text, or an object with the text columns of the model")
    questions: dict[Annotated[str, StringConstraints(min_length=1)], dict[str, Any]] = Field(
        min_length=1,
        max_length=64,  # as in transformers
        description="questions of the type noul, choice or score",
    )
    assets: dict[str, Any] | None = Field(None, description="images, which are only forwarded")
    truncate: Truncate = False


class _UnanswerableError(Exception):
    """The model has no labels for a question."""


def router(service: Service) -> APIRouter:
    """The endpoint for a service."""
    fallback = None if service.fallback is None else _Fallback(service.fallback, service.config.timeout)
    endpoints = Endpoints(service, "System One")

    @endpoints.post(
        _PATH,
        _Request,
        "Typed questions whose options are the labels of a model",
        {
            "model": _ALIAS,
            "state": "a lovely phone",
            "questions": {"tone": {"type": "choice", "criteria": {"good": None, "bad": None}}},
        },
    )
    async def answer(body: _Request, name: str | None) -> Any:
        questions, malformed = _parsed(body)
        if malformed and fallback is None:
            raise InvalidBody(malformed)
        served = _served(service, body.model, questions) if name is None else service.find(name)
        if fallback is None:
            read = _read(_known(served, body, service), questions)
            if read.problems:
                raise InvalidBody(read.problems)
            return await _answered(read, body)
        if served is None or body.assets:
            return await fallback.forwarded(body, body.questions, body.model)
        read = _read(served, questions)
        found = await _answered(read, body)
        rest = {key: value for key, value in body.questions.items() if key not in read.plans}
        return _merged(body, found, await fallback.forwarded(body, rest, _ALIAS)) if rest else found

    return endpoints.routes


@dataclass(frozen=True)
class _Read:
    """The questions of a request as a model reads them: those it can answer, and problems with the others."""

    served: ServedModel
    plans: dict[str, Plan]
    problems: list[dict[str, Any]]


def _parsed(body: _Request) -> tuple[Questions, list[dict[str, Any]]]:
    """The questions that are of the expected form, and problems with the others."""
    questions: Questions = {}
    problems: list[dict[str, Any]] = []
    for name, given in body.questions.items():
        try:
            questions[name] = _QUESTION.validate_python(given)
        except ValidationError as error:
            problems += problems_of(error, "questions", name)
    return questions, problems


def _served(service: Service, name: str, questions: Questions) -> ServedModel | None:
    """The named model; for the alias the only one, or the only one that can answer. None without such."""
    if name != _ALIAS:
        return service.models.get(name)
    models = list(service.models.values())
    if len(models) > 1:
        models = [m for m in models if "label_probabilities" in m.facts.can]
    if len(models) > 1:
        models = [m for m in models if not _read(m, questions).problems]
    return models[0] if len(models) == 1 else None


def _known(served: ServedModel | None, body: _Request, service: Service) -> ServedModel:
    """The model, if there is one. Raises NotFound, and InvalidBody for a request with images."""
    models = listed(list(service.models))
    if served is None and body.model == _ALIAS:
        raise _invalid(
            ("model",), f'no single model can answer the questions. Set "model" to one of: {models}'
        )
    if served is None:
        raise NotFound(f'there is no model "{body.model}". The models are: {models}')
    if body.assets:
        raise _invalid(("assets",), "the model reads texts only, no images")
    return served


def _read(served: ServedModel, questions: Questions) -> _Read:
    """Questions, as a model reads them."""
    labels = _Labels(dict.fromkeys(served.facts.labels), "label" in served.facts.can)
    plans: dict[str, Plan] = {}
    problems: list[dict[str, Any]] = []
    for name, question in questions.items():
        try:
            if "label_probabilities" not in served.facts.can:
                raise _UnanswerableError(f'the model "{served.name}" {abilities(served)}, but no labels')
            plans[name] = labels.plan(question)
        except _UnanswerableError as error:
            loc = ("questions", name, question.type, "criteria")
            problems.append({"loc": loc, "msg": str(error), "type": "value_error"})
    return _Read(served, plans, problems)


async def _answered(read: _Read, body: _Request) -> dict[str, Any]:
    """The response to the questions that the model can answer."""
    served, fitted = read.served, read.served.model.fitted
    answers, tokens = {}, 0
    if read.plans:
        item = _item(body.state, served.facts.text_columns)
        decode = counting(partial(with_probabilities, fitted))
        (found,) = await served.predict([item], truncate=body.truncate, decode=decode)
        prediction, chances_C = found.value
        probabilities = dict(zip(fitted.labels, chances_C.tolist(), strict=True))
        answers = {name: decided(plan(probabilities), prediction, plan) for name, plan in read.plans.items()}
        served.count_decisions([prediction])
        tokens = found.tokens
    usage = {"input_tokens": tokens, "output_tokens": 0}
    return {"model": served.name, "answers": answers, "usage": usage}


def _item(state: Content, columns: SequenceOf[str]) -> Any:
    """The input of the model: the text columns of an object, the texts of a list, or the state as a text.

    An object without these columns, and a list, become JSON for a model that reads a single text. Raises
    InvalidBody.
    """
    if isinstance(state, dict) and all(isinstance(state.get(column), str) for column in columns):
        texts = tuple(state[column] for column in columns)
        return texts if len(texts) > 1 else texts[0]
    if len(columns) == 1:
        return state if isinstance(state, str) else json.dumps(state, ensure_ascii=False)
    if isinstance(state, list) and len(state) == len(columns) and all(isinstance(s, str) for s in state):
        return tuple(state)
    raise _invalid(("state",), f"the model reads several texts: pass an object with {listed(columns)}")


def _invalid(loc: tuple[str, ...], message: str) -> InvalidBody:
    return InvalidBody([{"loc": loc, "msg": message, "type": "value_error"}])


@dataclass(frozen=True)
class _Labels:
    """The labels of a model, and whether exactly one of them applies to a text."""

    names: Mapping[str, None]  # in order
    are_exclusive: bool

    def plan(self, question: AnyQuestion) -> Plan:
        """How to answer a question. Raises _UnanswerableError."""
        if isinstance(question, _Choice):
            options = list(question.criteria)
            self._refuse_options(options)
            return partial(choice, options)
        if isinstance(question, _Score):
            levels = [_label_of(level) for level in question.criteria]
            self._refuse_options(levels)
            return partial(score, levels, question.criteria)
        return self._noul(question)

    def _noul(self, question: _Noul) -> Plan:
        """A plan for yes or no: "yes" is a label, "no" another label or all others.

        The criteria, or else the instructions, must be labels; or the labels of the model are true and false.
        """
        criteria = question.criteria or _Sides()
        sides = (self._label(criteria.true), self._label(question.instructions))
        yes = {label for label in sides if label is not None}
        no = self._label(criteria.false)
        if len(yes) > 1 or no in yes:
            raise _UnanswerableError("the instructions and the criteria name different labels")
        if not yes and no is None:
            named = {label.casefold(): label for label in self.names}
            if not {"true", "false"} <= named.keys():
                raise _UnanswerableError(
                    "the instructions, or a criterion, must be a label of this model. Labels: "
                    f"{listed(list(self.names))}"
                )
            yes, no = {named["true"]}, named["false"]
        if no is not None and yes and not self.are_exclusive:
            raise _UnanswerableError('several labels can apply to a text. Leave out "false"')
        return partial(noul, next(iter(yes), None), no)

    def _label(self, content: Content | None) -> str | None:
        return content if isinstance(content, str) and content in self.names else None

    def _refuse_options(self, options: SequenceOf[str]) -> None:
        """Raise _UnanswerableError for options that are not labels, and for equal ones."""
        unknown = next((option for option in options if option not in self.names), None)
        if unknown is not None:
            near, known = did_you_mean(unknown, self.names), listed(list(self.names))
            raise _UnanswerableError(f'"{unknown}" is not a label of this model.{near} Labels: {known}')
        if len(set(options)) < len(options):
            raise _UnanswerableError("two levels are the same label")
        if not self.are_exclusive:
            raise _UnanswerableError("several labels can apply to a text. Ask a noul question for each label")


def _label_of(level: Content) -> str:
    """The label of a level of a score: a text, or the value of "label" in an object."""
    if isinstance(level, dict) and isinstance(level.get("label"), str):
        try:
            to_bytes(level)  # the answer repeats it
        except TypeError as error:
            raise _UnanswerableError(f"a level cannot be repeated in the answer: {error}") from error
        return str(level["label"])
    if isinstance(level, str):
        return level
    raise _UnanswerableError('a level must be a label of this model, or an object with the key "label"')


def refuse_other_fallback(url: str) -> None:
    """Raise ConfigError unless the fallback is an HTTP URL."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise ConfigError(f"--fallback must be a URL such as http://localhost:8001, got {url}")


class _Fallback:
    """Another System One service. Raises ConfigError for something other than an HTTP URL."""

    def __init__(self, url: str, timeout: float) -> None:
        refuse_other_fallback(url)
        key = os.environ.get(_KEY)
        self._url = url.rstrip("/").removesuffix(_PATH) + _PATH
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._timeout = timeout  # seconds
        self._tls = httpx.create_ssl_context()  # slow, so only once

    async def forwarded(self, body: _Request, questions: Mapping[str, Any], model: str) -> Any:
        """The response to some questions: plain JSON, or a Response that reports what the client did wrong.

        Raises BadGateway.
        """
        request = {"model": model, "state": body.state, "questions": questions}
        if body.assets:
            request["assets"] = body.assets
        try:
            async with httpx.AsyncClient(timeout=self._timeout, verify=self._tls) as client:
                response = await client.post(self._url, json=request, headers=self._headers)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise BadGateway(f"the fallback service did not answer ({type(error).__name__})") from error
        if response.status_code in _PASSED_ON:
            kept = {k: v for k, v in response.headers.items() if k in ("content-type", "retry-after")}
            return Response(response.content, response.status_code, kept)
        if response.status_code != 200:
            raise BadGateway(f"the fallback service answered with the status {response.status_code}")
        try:
            found = response.json()
        except ValueError as error:
            raise BadGateway("the fallback service did not answer with JSON") from error
        answers = found.get("answers") if isinstance(found, dict) else None
        if not isinstance(answers, dict) or answers.keys() != questions.keys():
            raise BadGateway("the fallback service did not answer the questions")
        return found


def _merged(body: _Request, own: dict[str, Any], other: Any) -> Any:
    """The response with the answers of the model and of the fallback, in the order of the questions."""
    if isinstance(other, Response):
        return other
    answers = {**own["answers"], **other["answers"]}
    usage, more = own["usage"], other.get("usage")
    more = {k: n for k, n in more.items() if isinstance(n, int)} if isinstance(more, dict) else {}
    return {
        "model": own["model"],
        "answers": {name: answers[name] for name in body.questions},
        "usage": {key: count + more.get(key, 0) for key, count in usage.items()},
        "x_forwarded": list(other["answers"]),
        "x_forwarded_model": other.get("model"),
    }


_TYPES = {
    401: "authentication_error", 404: "not_found", 413: "request_too_large", 429: "rate_limit_error",
    502: "upstream_error",
}  # fmt: skip


def _error(refusal: Refusal) -> dict[str, Any]:
    if refusal.status == 422:
        own = [{"loc": ("state",), "msg": str(refusal), "type": "value_error"}]
        problems = refusal.problems if isinstance(refusal, InvalidBody) else own
        return {"detail": [{**each, "loc": ["body", *each["loc"]]} for each in problems]}
    default = "api_usage_error" if refusal.status < 500 else "internal_error"
    return {"detail": {"error_type": _TYPES.get(refusal.status, default), "message": str(refusal)}}


ERRORS: Mapping[str, ErrorBody] = {_PATH: _error}
