"""JSON in and out of the HTTP service, and the bodies of error responses.

A wire format with its own error bodies registers a function per path prefix (`ErrorBodies`). All other paths
get `{"error": message, "kind": kind}`.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from bertune.serve.connections import BODY
from bertune.serve.refusals import BadRequest, ErrorBody, Refusal, own_body

# Makes the response to a request from its body, and from the name of a model if the path has one.
RawAnswer = Callable[[bytes, str | None], Awaitable[Response]]
PathAnswer = Callable[[bytes], Coroutine[Any, Any, Response]]  # the same for one path
_OF_MODEL = re.compile("^/models/[^/]+(?=/)")  # before the path of an endpoint: one of several models


class _Json(Response):
    media_type = "application/json"


def to_bytes(value: Any) -> bytes:
    """A value as JSON. NumPy arrays and numbers are allowed; NaN becomes null."""
    return orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY)


def json_response(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A response with a JSON body."""
    return _Json(to_bytes(value), status, None if headers is None else dict(headers))


async def body_of(request: Request) -> bytes:
    """The body of a request. `Guard` has read it, unless it is streamed."""
    found: bytes | None = request.scope.get(BODY)
    return await request.body() if found is None else found


def json_object(body: bytes) -> dict[str, Any]:
    """The JSON object in a body. Raises BadRequest."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        what = f"is not valid JSON ({error})" if body else "is empty; expected JSON"
        raise BadRequest(f"the request body {what}") from error

    if not isinstance(found, dict):
        raise BadRequest("the request body must be a JSON object")
    return found


@dataclass(frozen=True)
class ErrorBodies:
    """The error body of each wire format, by the prefix of its paths. The longest prefix applies."""

    by_prefix: Mapping[str, ErrorBody]

    def response(self, path: str, refusal: Refusal) -> Response:
        """The response that reports a refusal of a request to `path`."""
        path = _OF_MODEL.sub("", path)
        prefixes = [prefix for prefix in self.by_prefix if path.startswith(prefix)]
        body = self.by_prefix[max(prefixes, key=len)] if prefixes else own_body
        return json_response(body(refusal), refusal.status, refusal.headers)
