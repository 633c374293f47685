"""The page at `/`, its files, and the endpoint that only the page needs: explanations."""

import hashlib
from dataclasses import asdict
from importlib.resources import files
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from bertune.data.formats import readable_suffixes
from bertune.predict.explaining import can_explain
from bertune.serve.file_routes import written_suffixes
from bertune.serve.refusals import Invalid, NotFound
from bertune.serve.replies import body_of, json_object, json_response
from bertune.serve.service import ServedModel, Service

OPEN_PATHS = ("/",)  # the page asks for the token itself
OPEN_PREFIXES = ("/page/",)
_MEDIA_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
# Nothing but files and data of this origin, and no inline scripts or styles.
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",  # revalidated by ETag, so that an upgrade is seen at once
}
_EXAMPLE = {"row": "a text", "target": None, "truncate": False}


def router(service: Service) -> APIRouter:
    """The endpoints for a service."""
    routes = APIRouter()
    found = _files()

    @routes.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _response(found["index.html"], request)

    @routes.get("/page/{name}", include_in_schema=False)
    async def file(name: str, request: Request) -> Response:
        if name not in found:
            raise NotFound(f'the page has no file "{name}"')
        return _response(found[name], request)

    @routes.post(
        "/models/{name}/explain",
        summary="The contribution of every word to a prediction",
        tags=["bertune"],
        openapi_extra={"requestBody": {"content": {"application/json": {"example": _EXAMPLE}}}},
    )
    async def explain(name: str, request: Request) -> Response:
        served = service.find(name)
        row, target, truncate = _explained(json_object(await body_of(request)))
        explanation = await service.explanations.explain(served, row, target, truncate)
        return json_response(asdict(explanation))

    return routes


def page_facts(served: ServedModel) -> dict[str, Any]:
    """The description of a model for the page, as JSON: input fields, file formats, explanations."""
    fitted, columns = served.model.fitted, served.facts.text_columns
    return {
        "form": asdict(fitted.form(columns)),
        "explains": can_explain(served.model),
        "writes": written_suffixes(served),
    }


def file_facts(service: Service) -> dict[str, Any]:
    """The files that can be labelled, as plain JSON."""
    return {"read": list(readable_suffixes()), "max_mb": service.config.max_file_mb}


def _files() -> dict[str, tuple[bytes, dict[str, str]]]:
    """The content and the headers of each file of the page, by name."""
    found = {}
    for path in files("bertune.serve").joinpath("page").iterdir():
        content = path.read_bytes()
        kind = _MEDIA_TYPES["." + path.name.rpartition(".")[2]]
        tag = hashlib.sha256(content).hexdigest()[:32]
        headers = {"Content-Type": f"{kind}; charset=utf-8", "ETag": f'"{tag}"'}
        found[path.name] = content, {**HEADERS, **headers}
    return found


def _response(found: tuple[bytes, dict[str, str]], request: Request) -> Response:
    content, headers = found
    if request.headers.get("if-none-match") == headers["ETag"]:
        return Response(status_code=304, headers=headers)
    return Response(content, headers=headers)


def _explained(body: dict[str, Any]) -> tuple[Any, str | int | None, bool]:
    """The row of a request, what is explained, and whether long texts may be truncated. Raises Invalid."""
    unknown = body.keys() - {"row", "target", "truncate"}
    if unknown or "row" not in body:
        wrong = f'unknown key "{min(unknown)}"' if unknown else "row is missing"
        raise Invalid(f"{wrong}. Expected keys: row, target, truncate")
    target, truncate = body.get("target"), body.get("truncate", False)
    if not (target is None or (isinstance(target, str | int) and not isinstance(target, bool))):
        raise Invalid("target must be a label, a position or null")
    if not isinstance(truncate, bool):
        raise Invalid("truncate must be true or false")
    return body["row"], target, truncate
