"""The application: the endpoints of all wire formats, behind the limits of the service.

The limits and the shortcut to the endpoints wrap the FastAPI application, because FastAPI passes every
request through several layers.
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
from bertune.serve.direct import ANSWERED, Direct
from bertune.serve.endpoints import JsonRouter
from bertune.serve.guard import Guard, Handled, Limits
from bertune.serve.logs import ACCESS, LOGGER, described, event
from bertune.serve.refusals import BadRequest, Failed, MethodNotAllowed, NotFound, Refusal, refusal_of
from bertune.serve.repeats import REMEMBER, Repeatable
from bertune.serve.replies import ErrorBodies, RawAnswer
from bertune.serve.service import Service

_LOG, _ACCESS = logging.getLogger(LOGGER), logging.getLogger(ACCESS)
_UNMATCHED = "unmatched"  # in logs and metrics, instead of a path that could contain anything
_FAILED = Failed("internal error; see the log of the service")
# Probes of load balancers have no token.
_OPEN_PATHS = frozenset({"/health", "/ready"})


def make_app(service: Service) -> ASGIApp:
    """The application with the endpoints of every wire format and of the page."""
    app = FastAPI(title="bertune", docs_url=None, redoc_url=None, redirect_slashes=False)
    modules = (routes, pages, file_routes, documentation, *_formats())
    routers = [module.router(service) for module in modules]
    for router in routers:
        app.include_router(router)
    errors = {key: value for module in modules for key, value in getattr(module, "ERRORS", {}).items()}
    reports = _Reports(service, ErrorBodies(errors))
    app.add_exception_handler(BertuneError, reports.refused)
    app.add_exception_handler(HTTPException, reports.not_routed)
    app.add_exception_handler(Exception, reports.failed_within)

    answers: dict[str, RawAnswer] = {}
    for router in reversed(routers):  # the first route of a path answers it, as in FastAPI
        answers |= router.answers if isinstance(router, JsonRouter) else {}
    direct = Direct(app, answers, reports.refuse)

    def on_handled(scope: Scope, handled: Handled) -> None:
        reports.handled(scope["method"], _endpoint(scope), handled)
        if handled.status == 200 and REMEMBER in scope and ANSWERED in scope:
            template, answer = scope[ANSWERED]
            failed, record = partial(reports.fail, scope["path"]), partial(reports.handled, "POST", template)
            scope[REMEMBER](Repeatable(answer, failed, record))

    guarded = Guard(direct, limits=_limits(service, modules), respond=reports.respond, on_handled=on_handled)
    return ServerErrorMiddleware(guarded, handler=reports.failed)


class _Reports:
    """Responses that report errors, and the records of handled requests."""

    def __init__(self, service: Service, bodies: ErrorBodies) -> None:
        self._metrics = service.metrics
        self._bodies = bodies

    def respond(self, path: str, refusal: Refusal) -> Response:
        """The response that reports a refusal of a request to a path."""
        self._metrics.refused(refusal.kind)
        return self._bodies.response(path, refusal)

    def refuse(self, path: str, endpoint: str, error: BertuneError) -> Response:
        """The response that reports an error of bertune; `endpoint` is the template of the path."""
        refusal = refusal_of(error)
        if isinstance(refusal, Failed):
            event(_LOG, logging.ERROR, "request failed", endpoint=endpoint, **described(error))
        return self.respond(path, refusal)

    def fail(self, path: str) -> Response:
        """The response that reports any other error, which the caller logs."""
        return self.respond(path, _FAILED)

    def handled(self, method: str, endpoint: str, handled: Handled) -> None:
        """Queue the record of a request."""
        self._metrics.bookkeeping.add(partial(self._record, method, endpoint, handled))

    def _record(self, method: str, endpoint: str, handled: Handled) -> None:
        self._metrics.handled(endpoint, handled.status, handled.seconds)
        event(
            _ACCESS, logging.INFO, "request", created=handled.end, method=method, endpoint=endpoint,
            status=handled.status, milliseconds=round(1000 * handled.seconds, 1), bytes=handled.body_bytes,
        )  # fmt: skip

    # Handlers of exceptions, as Starlette calls them.

    async def refused(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, BertuneError)
        return self.refuse(request.url.path, _endpoint(request.scope), error)

    async def not_routed(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return self.respond(request.url.path, _as_refusal(request, error))

    async def failed(self, request: Request, error: Exception) -> Response:  # and uvicorn logs the error
        return self.fail(request.url.path)

    async def failed_within(self, request: Request, error: Exception) -> Response:
        """The same response, but not counted: `failed` is called later, and its response is not sent."""
        return self._bodies.response(request.url.path, _FAILED)


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
    if ANSWERED in scope:
        template, _ = scope[ANSWERED]
        return str(template)
    return getattr(scope.get("route"), "path", _UNMATCHED)


def _as_refusal(request: Request, error: HTTPException) -> Refusal:
    path = request.url.path
    if error.status_code == 404:
        return NotFound(f"there is no endpoint {path}")
    if error.status_code == 405:
        return MethodNotAllowed(f"{path} does not accept {request.method}")
    return BadRequest(str(error.detail))
