"""The endpoints that belong to no wire format: models, prediction with any task, readiness and metrics."""

import asyncio
from typing import Any

from starlette.responses import Response

from bertune.serve.endpoints import JsonRouter, checked
from bertune.serve.formats import tei
from bertune.serve.metrics import CONTENT_TYPE
from bertune.serve.pages import file_facts, page_facts
from bertune.serve.refusals import Invalid
from bertune.serve.replies import json_object, json_response
from bertune.serve.service import Service, plain_predictions

_EXAMPLE = {"rows": ["a text", "another text"], "truncate": False}


def router(service: Service) -> JsonRouter:
    """The endpoints for a service."""
    routes = JsonRouter(tags=["bertune"])

    @routes.get("/models", summary="The served models")
    async def models() -> Response:
        found = [
            {"name": name, **served.facts.plain(), **page_facts(served)}
            for name, served in service.models.items()
        ]
        return json_response({"models": found, "files": file_facts(service)})

    async def predict(raw: bytes, name: str | None) -> Response:
        body = json_object(raw)
        if "inputs" in body:  # the format of text-embeddings-inference, under the name of a model
            return json_response(await tei.predict(service, checked(tei.Predict, body), name))
        served = service.find(name)
        rows, truncate = _rows_of(body)
        return json_response(
            {"predictions": plain_predictions(await served.predict(rows, truncate=truncate))}
        )

    routes.answer(
        "/models/{name}/predict",
        predict,
        summary="The predictions of any model",
        openapi_extra={
            "parameters": [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}],
            "requestBody": {"content": {"application/json": {"example": _EXAMPLE}}},
        },
    )

    @routes.get("/ready", summary="Whether the service accepts requests: 200, or 503 while it starts")
    async def ready() -> Response:
        return json_response({"ready": True})

    @routes.get("/metrics", summary="Metrics in the format of Prometheus")
    async def metrics() -> Response:
        service.metrics.bookkeeping.settle()
        page = await asyncio.to_thread(service.metrics.page)  # with many labels, this takes milliseconds
        return Response(page, media_type=CONTENT_TYPE)

    return routes


def _rows_of(body: dict[str, Any]) -> tuple[list[Any], bool]:
    """The rows of a request body, and whether long texts may be truncated. Raises Invalid."""
    unknown = body.keys() - {"rows", "truncate"}
    if unknown:
        raise Invalid(f'unknown key "{min(unknown)}". Expected keys: rows, truncate')
    rows, truncate = body.get("rows"), body.get("truncate", False)
    if not isinstance(rows, list):
        raise Invalid("rows must be a list of texts, of lists of texts, or of objects")
    if not isinstance(truncate, bool):
        raise Invalid("truncate must be true or false")
    return rows, truncate
