"""The format of Hugging Face's Inference API: POST / for all tasks, as huggingface_hub.InferenceClient sends.

The shape of the inputs, or the model, decides which task is meant. Inference Endpoints and
text-embeddings-inference answer the same path.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import ConfigDict, Field, WithJsonSchema

from bertune.serve.endpoints import B, Body, Endpoints, InvalidBody, checked
from bertune.serve.formats.own import question_and_context
from bertune.serve.formats.tei import (
    LABELLED,
    Embed,
    Rerank,
    Truncate,
    cosines,
    embed,
    items_of,
    model_for,
    rerank,
    scores,
    texts_of,
)
from bertune.serve.refusals import Invalid
from bertune.serve.service import ServedModel, Service


class _Request(Body):
    """The keys that all tasks share; those of embeddings and rankings are extra keys."""

    model_config = ConfigDict(extra="allow")

    inputs: Annotated[
        Any, WithJsonSchema({"description": "a text, a list of texts, or an object, depending on the task"})
    ] = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    truncate: Truncate = False


class _Parameters(Body):
    """The parameters of any task."""

    # Other parameters would change the result, so they are refused rather than ignored.
    model_config = ConfigDict(extra="forbid")

    top_k: int | None = Field(None, ge=1)


class _OfLabels(_Parameters):
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = None


class _OfTags(Body):
    model_config = ConfigDict(extra="forbid")

    aggregation_strategy: Literal["simple", "first", "average", "max"] | None = None
    ignore_labels: list[str] = Field(default_factory=list)


class _OfAnswers(_Parameters):
    handle_impossible_answer: bool | None = None


def router(service: Service) -> APIRouter:
    """The endpoints for a service."""
    endpoints = Endpoints(service, "Hugging Face")

    @endpoints.post(
        "/",
        _Request,
        "All tasks, in the format of huggingface_hub.InferenceClient",
        {"inputs": "a lovely phone"},
    )
    async def infer(body: _Request, name: str | None) -> Any:
        extra = body.model_extra or {}
        if "query" in extra:
            return await rerank(service, checked(Rerank, {**extra, "truncate": body.truncate}), name)
        inputs = body.inputs
        if isinstance(inputs, Mapping) and "source_sentence" in inputs:
            return await cosines(service, inputs, body.truncate, name)
        if _are_questions(inputs):
            return await _answers(model_for(service, name, ("answer",)), body)
        served = model_for(service, name, ("vectors", "spans", "masks", *LABELLED), ("score",))
        can = served.facts.can
        if "vectors" in can:
            given = {**extra, "inputs": inputs, "truncate": body.truncate}
            return await embed(service, checked(Embed, given), served.name)
        if "spans" in can:
            return await _entities(served, body)
        if "masks" in can:
            return await _fillings(served, body)
        return await _labels(served, body)

    return endpoints.routes


def _are_questions(inputs: Any) -> bool:
    first = inputs[0] if isinstance(inputs, list) and inputs else inputs
    return isinstance(first, Mapping) and "question" in first


async def _labels(served: ServedModel, body: _Request) -> list[list[dict[str, Any]]]:
    """Text classification: for each text the labels with their scores, highest first."""
    given = _parameters(_OfLabels, body)
    own = "softmax" if "label" in served.facts.can else "sigmoid"
    if given.function_to_apply not in (None, "none", own):
        raise Invalid(
            f'function_to_apply must be "{own}", as in training, or "none", got "{given.function_to_apply}"'
        )
    is_single = len(served.facts.text_columns) == 1
    items = texts_of(body.inputs) if is_single else items_of(body.inputs, served)[0]
    raw = given.function_to_apply == "none"
    found = await scores(served, items, body.truncate, raw=raw, all_labels=given.top_k is not None)
    return [labels[: given.top_k] for labels in found]


async def _entities(served: ServedModel, body: _Request) -> Any:
    """Token classification: the entities of each text."""
    given = _parameters(_OfTags, body)
    predictions = await served.predict(texts_of(body.inputs), truncate=body.truncate)
    found = [
        [_entity(span) for span in prediction.spans if span["label"] not in given.ignore_labels]
        for prediction in predictions
    ]
    return found[0] if isinstance(body.inputs, str) else found


def _entity(span: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: span[key] for key in ("score", "start", "end", "decision") if key in span}
    return {"entity_group": span["label"], "word": span["text"], **kept}


async def _answers(served: ServedModel, body: _Request) -> Any:
    """Question answering: the best answers to each question."""
    given = _parameters(_OfAnswers, body)
    questions = body.inputs if isinstance(body.inputs, list) else [body.inputs]
    rows = [question_and_context(question) for question in questions]
    predictions = await served.predict(rows, truncate=body.truncate)
    found = [_best_answers(prediction, given) for prediction in predictions]
    best = [answers if given.top_k and given.top_k > 1 else answers[0] for answers in found]
    return best if isinstance(body.inputs, list) else best[0]


def _best_answers(prediction: Any, given: _OfAnswers) -> list[dict[str, Any]]:
    """The answers to a question, the predicted one first; "no answer" is an empty text."""
    chosen = (prediction.start, prediction.end)
    ordered = sorted(prediction.n_best, key=lambda one: (one["start"], one["end"]) != chosen)
    if given.handle_impossible_answer is False:
        ordered = [one for one in ordered if one["answer"] is not None]
    if not ordered:
        raise Invalid("the context has no text that could be an answer")
    return [
        {
            "answer": one["answer"] or "",
            "score": one["score"],
            "start": one["start"] or 0,
            "end": one["end"] or 0,
        }
        for one in ordered[: given.top_k or 1]
    ]


async def _fillings(served: ServedModel, body: _Request) -> Any:
    """Masked words: the most probable tokens at each mask of each text."""
    given = _parameters(_Parameters, body)
    decode = served.model.fitted.fillings
    texts = texts_of(body.inputs)
    by_text = await served.predict(texts, truncate=body.truncate, decode=decode)
    found = [[tokens[: given.top_k] for tokens in masks] for masks in by_text]
    shown = [masks[0] if len(masks) == 1 else masks for masks in found]
    return shown[0] if isinstance(body.inputs, str) else shown


def _parameters(kind: type[B], body: _Request) -> B:
    """The parameters of a task. Raises InvalidBody for others."""
    try:
        return checked(kind, {key: value for key, value in body.parameters.items() if value is not None})
    except InvalidBody as error:
        problems = [{**problem, "loc": ("parameters", *problem["loc"])} for problem in error.problems]
        raise InvalidBody(problems) from error
