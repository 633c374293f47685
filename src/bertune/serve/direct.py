"""A shortcut to the endpoints: a dictionary instead of FastAPI's routing.

FastAPI compares a path with one route after the other, resolves the parameters of the endpoint, and wraps
it in several layers. With some fifty routes this takes about as much time as the rest of the service does for
a request. Endpoints that need only the request and the name of a model are therefore called directly. FastAPI
keeps the others, the errors of routing, and the OpenAPI document.
"""

import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from bertune.errors import BertuneError

_MODELS, _NAME = "/models/", "{name}"


@dataclass(frozen=True)
class _Endpoint:
    """An endpoint, and which of the known parameters it takes."""

    route: APIRoute
    parameters: frozenset[str]

    async def __call__(self, request: Request, name: str | None) -> Response:
        known: dict[str, Any] = {"request": request, "name": name}
        response: Response = await self.route.endpoint(**{key: known[key] for key in self.parameters})
        return response


class Direct:
    """An ASGI application that answers requests for some routes of another one, and passes on the rest."""

    def __init__(
        self,
        app: ASGIApp,
        routes: Iterable[BaseRoute],
        refused: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        """`routes` are in the order of the application; `refused` makes a response of a BertuneError."""
        self._app = app
        self._refused = refused
        self._endpoints: dict[tuple[str, str], _Endpoint | None] = {}  # by method and path
        for route in routes:
            if isinstance(route, APIRoute):
                for method in route.methods or ():  # the first route of a path answers it, as in FastAPI
                    self._endpoints.setdefault((method, route.path), _endpoint(route))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endpoint, name = None, None
        if scope["type"] == "http":
            path, name = _template(scope["path"])
            endpoint = self._endpoints.get((scope["method"], path))
        if endpoint is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = endpoint.route
        scope["path_params"] = {} if name is None else {"name": name}
        request = Request(scope, receive)
        try:
            response = await endpoint(request, name)
        except BertuneError as error:
            response = await self._refused(request, error)
        await response(scope, receive, send)


def _endpoint(route: APIRoute) -> _Endpoint | None:
    """The endpoint of a route; None if FastAPI must prepare its parameters, or run it in a thread."""
    parameters = frozenset(inspect.signature(route.endpoint).parameters)
    known = {"request", "name"} if _NAME in route.path else {"request"}
    is_direct = inspect.iscoroutinefunction(route.endpoint) and parameters <= known
    return _Endpoint(route, parameters) if is_direct else None


def _template(path: str) -> tuple[str, str | None]:
    """The path with {name} in place of the name of a model, and the name."""
    if not path.startswith(_MODELS):
        return path, None
    name, slash, rest = path[len(_MODELS) :].partition("/")
    return (f"{_MODELS}{_NAME}{slash}{rest}", name) if name else (path, None)
