"""The OpenAPI page at /docs: every endpoint with its fields and an example, rendered from /openapi.json.

It has no scripts and loads nothing from other hosts, so that it works without access to the internet.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from bertune.errors import plural
from bertune.serve.pages import HEADERS
from bertune.serve.service import Service

OPEN_PATHS = ("/docs", "/openapi.json")  # they contain no texts and no predictions
_LONGEST = 2  # alternatives of a type that are listed
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>bertune: endpoints</title>
<link rel="icon" href="page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="page/page.css">
</head>
<body>
<header><p class="brand">bertune</p></header>
<main>
<p>The endpoints of this service, also as <a href="openapi.json">an OpenAPI document</a>. For one of several
models, put <code>/models/NAME</code> before the path.</p>
{sections}
</main>
</body>
</html>
"""


def router(service: Service) -> APIRouter:
    """The endpoint for a service."""
    routes = APIRouter()

    @routes.get("/docs", include_in_schema=False)
    def docs(request: Request) -> Response:
        body = page(request.app.openapi(), str(request.base_url).rstrip("/"))
        return Response(body, media_type="text/html", headers=HEADERS)

    return routes


def page(document: Mapping[str, Any], url: str) -> str:
    """The HTML page for an OpenAPI document; `url` is the URL of the service."""
    by_tag: dict[str, list[str]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            for tag in operation.get("tags", ["bertune"]):
                by_tag.setdefault(tag, []).append("".join(_endpoint(method.upper(), path, operation, url)))
    sections = "".join(f"<h1>{escape(tag)}</h1>{''.join(found)}" for tag, found in by_tag.items())
    return _PAGE.format(sections=sections)


def _endpoint(method: str, path: str, operation: Mapping[str, Any], url: str) -> Iterator[str]:
    yield f"<h2><code>{method} {escape(path)}</code></h2><p>{escape(operation.get('summary', ''))}</p>"
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    fields = content.get("schema", {}).get("properties", {})
    if fields:
        required = content["schema"].get("required", [])
        rows = "".join(_row(name, field, name in required) for name, field in fields.items())
        head = "<tr><th>key</th><th>type</th><th>default</th><th>meaning</th></tr>"
        yield f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"
    command = f"curl {url}{path}"
    if "example" in content:
        command += f" -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(content['example']))}"
    yield f"<pre><code>{escape(command)}</code></pre>"


def _row(name: str, field: Mapping[str, Any], is_required: bool) -> str:
    default = "required" if is_required else json.dumps(field.get("default"))
    cells = (name, type_of(field), default, field.get("description", ""))
    return "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"


def type_of(schema: Mapping[str, Any]) -> str:
    """A JSON schema in words, such as `string or list of strings`."""
    if "anyOf" in schema:
        names = dict.fromkeys(type_of(each) for each in schema["anyOf"])
        return " or ".join(list(names)[:_LONGEST])
    if "enum" in schema:
        return " or ".join(json.dumps(value) for value in schema["enum"])
    kind = str(schema.get("type", "any value"))
    if kind == "array":
        first, *rest = type_of(schema.get("items", {})).split(" ", 1)
        return " ".join(["list of", plural(first), *rest])
    return kind
