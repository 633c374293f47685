"""The application: the endpoints of all wire formats, behind the limits of the service.

The limits and the shortcut to the endpoints wrap the FastAPI application, because FastAPI passes every
request through several layers of its own.
"""

import importlib
import logging
import pkgutil
from collections.abc import Iterator
from functools import partial
from types import ModuleType

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.responses import Response
from starlette.types import ASGIApp, Scope

from bertune.errors import BertuneError
from bertune.serve import documentation, file_routes, formats, pages, routes
from bertune.serve.direct import Direct
from bertune.serve.guard import Guard, Handled, Limits
from bertune.serve.logs import ACCESS, LOGGER, described, event
from bertune.serve.refusals import BadRequest, Failed, MethodNotAllowed, NotFound, Refusal, refusal_of
from bertune.serve.replies import ErrorBodies
from bertune.serve.service import Service

_LOG, _ACCESS = logging.getLogger(LOGGER), logging.getLogger(ACCESS)
_UNMATCHED = "unmatched"  # in logs and metrics, instead of a path that could contain anything
# Probes of load balancers have no token.
_OPEN_PATHS = frozenset({"/health", "/ready"})


def make_app(service: Service) -> ASGIApp:
    """The application with the endpoints of every wire format and of the page."""
    app = FastAPI(title="bertune", docs_url=None, redoc_url=None, redirect_slashes=False)
    modules = (routes, pages, file_routes, documentation, *_formats())
    bodies = ErrorBodies({k: v for module in modules for k, v in getattr(module, "ERRORS", {}).items()})
    routers = [module.router(service) for module in modules]
    for router in routers:
        app.include_router(router)

    def respond(path: str, refusal: Refusal) -> Response:
        service.metrics.refused(refusal.kind)
        return bodies.response(path, refusal)

    async def refused(request: Request, error: Exception) -> Response:
        assert isinstance(error, BertuneError)
        refusal = refusal_of(error)
        if isinstance(refusal, Failed):
            event(
                _LOG, logging.ERROR, "request failed", endpoint=_endpoint(request.scope), **described(error)
            )
        return respond(request.url.path, refusal)

    async def not_routed(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return respond(request.url.path, _as_refusal(request, error))

    async def failed(request: Request, error: Exception) -> Response:  # and uvicorn logs the error
        return respond(request.url.path, Failed("internal error; see the log of the service"))

    app.add_exception_handler(BertuneError, refused)
    app.add_exception_handler(HTTPException, not_routed)
    app.add_exception_handler(Exception, failed)

    def record(method: str, endpoint: str, handled: Handled) -> None:
        service.metrics.handled(endpoint, handled.status, handled.seconds)
        event(
            _ACCESS, logging.INFO, "request", created=handled.end, method=method, endpoint=endpoint,
            status=handled.status, milliseconds=round(1000 * handled.seconds, 1), bytes=handled.body_bytes,
        )  # fmt: skip

    def on_handled(scope: Scope, handled: Handled) -> None:
        service.metrics.bookkeeping.add(partial(record, scope["method"], _endpoint(scope), handled))

    known = [route for router in routers for route in router.routes]
    direct = Direct(app, routes=known, refused=refused)
    guarded = Guard(direct, limits=_limits(service, modules), respond=respond, on_handled=on_handled)
    return ServerErrorMiddleware(guarded, handler=failed)


def _limits(service: Service, modules: tuple[ModuleType, ...]) -> Limits:
    config = service.config
    return Limits(
        max_body=int(config.max_body_mb * 1e6),
        timeout=config.timeout,
        token=service.token,
        open_paths=_OPEN_PATHS.union(*(getattr(module, "OPEN_PATHS", ()) for module in modules)),
        open_prefixes=pages.OPEN_PREFIXES,
        streamed=file_routes.STREAMED,
    )


def _formats() -> Iterator[ModuleType]:
    """The modules of the wire formats that have endpoints."""
    for found in pkgutil.iter_modules(formats.__path__):
        module = importlib.import_module(f"{formats.__name__}.{found.name}")
        if hasattr(module, "router"):
            yield module


def _endpoint(scope: Scope) -> str:
    """The template of a path, such as /models/{name}/predict."""
    return getattr(scope.get("route"), "path", _UNMATCHED)


def _as_refusal(request: Request, error: HTTPException) -> Refusal:
    path = request.url.path
    if error.status_code == 404:
        return NotFound(f"there is no endpoint {path}")
    if error.status_code == 405:
        return MethodNotAllowed(f"{path} does not accept {request.method}")
    return BadRequest(str(error.detail))
