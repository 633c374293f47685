"""Endpoints for tasks that no other format covers: /tag, /answer, /choose and /fill.

Each answers {"predictions": [...]} with one prediction per input, which has the fields that `bertune predict`
writes to files.
"""

from collections.abc import Mapping
from collections.abc import Sequence as SequenceOf
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import ConfigDict, WithJsonSchema

from bertune.errors import listed
from bertune.serve.endpoints import Body, Endpoints, suited
from bertune.serve.formats.tei import Truncate
from bertune.serve.refusals import Invalid
from bertune.serve.service import ServedModel, Service, plain_predictions

_TEXT = {"type": "string"}
_TEXTS = {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}
_WORDS = {"type": "array", "items": {"type": "array", "items": _TEXT}, "description": "lists of words"}
_QUESTION = {
    "type": "object",
    "properties": {"question": _TEXT, "context": _TEXT},
    "required": ["question", "context"],
}
_CHOICES = {
    "type": "object",
    "description": "the text columns of the model, such as context, question and choices",
}


class _Own(Body):
    model_config = ConfigDict(extra="forbid")  # a misspelt key would be ignored silently

    truncate: Truncate = False


class _Tag(_Own):
    inputs: Annotated[Any, WithJsonSchema({"anyOf": [*_TEXTS["anyOf"], _WORDS]})]


class _Answer(_Own):
    inputs: Annotated[Any, WithJsonSchema({"anyOf": [_QUESTION, {"type": "array", "items": _QUESTION}]})]


class _Choose(_Own):
    inputs: Annotated[Any, WithJsonSchema({"anyOf": [_CHOICES, {"type": "array", "items": _CHOICES}]})]


class _Fill(_Own):
    inputs: Annotated[Any, WithJsonSchema(_TEXTS)]


def router(service: Service) -> APIRouter:
    """The endpoints for a service."""
    endpoints = Endpoints(service, "bertune")

    @endpoints.post(
        "/tag", _Tag, "The entities in texts, with their character spans", {"inputs": "Ada lives in Rome."}
    )
    async def tag(body: _Tag, name: str | None) -> Any:
        return await _predictions(suited(service, name, ("spans",)), _listed(body.inputs), body.truncate)

    @endpoints.post(
        "/answer",
        _Answer,
        "The answers to questions, as spans of their contexts",
        {"inputs": {"question": "who sings?", "context": "Ada sings and Bo plays the drum."}},
    )
    async def answer(body: _Answer, name: str | None) -> Any:
        served = suited(service, name, ("answer",))
        rows = [question_and_context(item) for item in _listed(body.inputs)]
        return await _predictions(served, rows, body.truncate)

    @endpoints.post(
        "/choose",
        _Choose,
        "The correct choice for each question",
        {"inputs": {"context": "it rains", "question": "we need", "choices": ["sun", "an umbrella"]}},
    )
    async def choose(body: _Choose, name: str | None) -> Any:
        served = suited(service, name, ("choice",))
        rows = [cells(item, served.facts.text_columns) for item in _listed(body.inputs)]
        return await _predictions(served, rows, body.truncate)

    @endpoints.post(
        "/fill", _Fill, "The most probable words for the masks in texts", {"inputs": "heavy [MASK]"}
    )
    async def fill(body: _Fill, name: str | None) -> Any:
        served = suited(service, name, ("masks",))
        found = await served.predict(_listed(body.inputs), truncate=body.truncate)
        for number, prediction in enumerate(found, start=1):
            # Without a mask, the task masks some words itself and predicts these.
            if any(mask["word"] is not None for mask in prediction.masks) or not prediction.masks:
                raise Invalid(f"text {number} of {len(found):,} has no mask")
        return {"predictions": plain_predictions(found)}

    return endpoints.routes


def question_and_context(item: Any) -> tuple[str, str]:
    """The texts of {"question": …, "context": …}, in the order in which models read them. Raises Invalid."""
    question, context = cells(item, ("question", "context"))
    return question, context


def cells(item: Any, columns: SequenceOf[str]) -> tuple[Any, ...]:
    """The values of an object for these columns, in order. Raises Invalid if it has other keys."""
    if not isinstance(item, Mapping):
        raise Invalid(f"an input must be an object with the keys {listed(columns)}")
    missing = [column for column in columns if column not in item]
    unknown = [key for key in item if key not in columns]
    if missing or unknown:
        what = f'lacks the key "{missing[0]}"' if missing else f'has the unknown key "{unknown[0]}"'
        raise Invalid(f"an input {what}. This model reads the keys {listed(columns)}")
    return tuple(item[column] for column in columns)


async def _predictions(served: ServedModel, items: SequenceOf[Any], truncate: bool) -> dict[str, Any]:
    found = await served.predict(items, truncate=truncate)
    return {"predictions": plain_predictions(found)}


def _listed(inputs: Any) -> list[Any]:
    """The inputs as a list. Raises Invalid."""
    if inputs == [] or not isinstance(inputs, str | Mapping | list):
        raise Invalid('"inputs" must be one input, or a list of at least one input')
    return inputs if isinstance(inputs, list) else [inputs]
