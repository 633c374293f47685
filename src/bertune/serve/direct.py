"""A shortcut to the endpoints that need only the body of a request and the name of a model.

FastAPI compares a path with one route after the other, resolves the parameters of the endpoint, and wraps
it in several layers. With some fifty routes this takes about as much time as the rest of the service does for
a request. These endpoints are therefore looked up in a dictionary. FastAPI keeps the others, the errors of
routing, and the OpenAPI document.
"""

from collections.abc import Callable, Mapping

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from bertune.errors import BertuneError
from bertune.serve.replies import PathAnswer, RawAnswer, body_of

# In the scope of a request that `Direct` answers: the template of its path, such as /models/{name}/predict,
# and the function that answers it.
ANSWERED = "bertune.answered"
_MODELS, _NAME = "/models/", "{name}"


class Direct:
    """An ASGI application that answers POST requests to some paths, and passes on the rest to another one."""

    def __init__(
        self,
        app: ASGIApp,
        answers: Mapping[str, RawAnswer],
        refused: Callable[[str, str, BertuneError], Response],
    ) -> None:
        """`answers` are by the template of their path.

        `refused` makes a response of the path, its template, and the error.
        """
        self._app = app
        self._answers = answers
        self._refused = refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = None
        if scope["type"] == "http" and scope["method"] == "POST":
            found = self._find(scope["path"])
        if found is None:
            await self._app(scope, receive, send)
            return
        scope[ANSWERED] = found
        _, answer = found
        response = await answer(await body_of(Request(scope, receive)))
        await response(scope, receive, send)

    def _find(self, path: str) -> tuple[str, PathAnswer] | None:
        """The template of a path, and a function that answers a body and reports errors of bertune."""
        template, name = _template(path)
        answer_raw = self._answers.get(template)
        if answer_raw is None:
            return None

        async def answer(body: bytes) -> Response:
            try:
                return await answer_raw(body, name)
            except BertuneError as error:
                return self._refused(path, template, error)

        return template, answer


def _template(path: str) -> tuple[str, str | None]:
    """The path with {name} in place of the name of a model, and the name."""
    if not path.startswith(_MODELS):
        return path, None
    name, slash, rest = path[len(_MODELS) :].partition("/")
    return (f"{_MODELS}{_NAME}{slash}{rest}", name) if name else (path, None)
