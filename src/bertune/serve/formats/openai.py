"""The format of OpenAI: /v1/embeddings and /v1/models.

/v1/models also has the keys that TypeSafe's clients of /v1/systemone read from that path.
"""

import base64
import datetime
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray
from pydantic import Field, WithJsonSchema
from starlette.responses import Response

from bertune.errors import did_you_mean, listed
from bertune.serve.endpoints import Body, Counted, Endpoints, InvalidBody, counting, suited
from bertune.serve.formats.tei import Truncate, vector_decoder
from bertune.serve.refusals import ErrorBody, Invalid, NotFound, Refusal
from bertune.serve.replies import json_response
from bertune.serve.service import ServedModel, Service

_INPUT = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}


class _Embeddings(Body):
    model: str = Field(description="the name of a model, as in /v1/models")
    input: Annotated[Any, WithJsonSchema(_INPUT)]
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = Field(
        None, ge=1, description="number of dimensions, one of those the model was trained for"
    )
    truncate: Truncate = False


def router(service: Service) -> APIRouter:
    """The endpoints for a service."""
    endpoints = Endpoints(service, "OpenAI")

    @endpoints.post(
        "/v1/embeddings",
        _Embeddings,
        "Embeddings of texts",
        {"model": "NAME", "input": ["a lovely phone", "it broke"]},
    )
    async def embeddings(body: _Embeddings, name: str | None) -> Any:
        served = suited(service, _named(service, body.model).name, ("vectors",))
        decode = counting(vector_decoder(served, body.dimensions, True))
        texts = _texts(body.input)
        found: list[Counted] = await served.predict(texts, truncate=body.truncate, decode=decode)
        tokens = sum(each.tokens for each in found)
        encode = _base64 if body.encoding_format == "base64" else np.asarray
        return {
            "object": "list",
            "data": [
                {"object": "embedding", "index": index, "embedding": encode(each.value)}
                for index, each in enumerate(found)
            ],
            "model": served.name,
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }

    @endpoints.get("/v1/models", "The names of the models")
    def models(name: str | None) -> Any:
        served = list(service.models.values())
        return {
            "object": "list",
            "data": list(map(_model, served)),
            "models": list(map(_described, served)),
        }

    @endpoints.routes.get("/v1/models/{model:path}", summary="Details of one model", tags=["OpenAI"])
    def one(model: str) -> Response:
        return json_response(_model(_named(service, model)))

    return endpoints.routes


def _named(service: Service, name: str) -> ServedModel:
    if name not in service.models:
        known = listed(list(service.models))
        near = did_you_mean(name, service.models)
        raise NotFound(f'the model "{name}" does not exist.{near} The models are: {known}')
    return service.models[name]


def _texts(value: Any) -> list[str]:
    """The texts in "input". Raises Invalid."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not texts:
        raise Invalid('"input" must be a text or a list of at least one text')
    first = texts[0]
    if isinstance(first, int) or (isinstance(first, list) and all(isinstance(item, int) for item in first)):
        raise Invalid(
            '"input" has the token IDs of another tokenizer than that of this model. Send texts. In '
            "LangChain, set check_embedding_ctx_length=False"
        )
    if not all(isinstance(text, str) for text in texts):
        raise Invalid('"input" must be a text or a list of texts')
    return texts


def _base64(vector_H: NDArray[np.float32]) -> str:
    return base64.b64encode(vector_H.astype("<f4").tobytes()).decode()


def _model(served: ServedModel) -> dict[str, Any]:
    return {"id": served.name, "object": "model", "created": served.facts.created, "owned_by": "bertune"}


def _described(served: ServedModel) -> dict[str, Any]:
    """A model as in TypeSafe's list of models."""
    facts = served.facts
    day = datetime.datetime.fromtimestamp(facts.created, datetime.UTC).date().isoformat()
    labels = f" with the labels {listed(facts.labels)}" if "label_probabilities" in facts.can else ""
    return {"name": served.name, "description": f"{facts.task}{labels}", "release_date": day}


_TYPES = {401: "invalid_request_error", 429: "rate_limit_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}


def _error(refusal: Refusal) -> dict[str, Any]:
    default = "invalid_request_error" if refusal.status < 500 else "server_error"
    param = refusal.problems[0]["loc"] if isinstance(refusal, InvalidBody) else ()
    error = {
        "message": str(refusal),
        "type": _TYPES.get(refusal.status, default),
        "param": ".".join(map(str, param)) or None,
        "code": _CODES.get(refusal.status, refusal.kind),
    }
    return {"error": error}


ERRORS: Mapping[str, ErrorBody] = {"/v1/": _error}
