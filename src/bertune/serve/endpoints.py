"""The endpoints of a wire format: typed request bodies, their documentation, and the model that answers."""

from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.responses import Response

from bertune.errors import listed
from bertune.predict.predictor import Decode
from bertune.serve.refusals import Invalid
from bertune.serve.replies import RawAnswer, body_of, json_response
from bertune.serve.service import ServedModel, Service
from bertune.tasks import Output
from bertune.text.sequences import Sequence

# The endpoints that use a field of a prediction, in the order in which messages list them.
_USED_BY = {
    "label": "/predict",
    "labels": "/predict",
    "value": "/predict",
    "score": "/rerank",
    "vectors": "/embed, /v1/embeddings",
    "spans": "/tag",
    "answer": "/answer",
    "choice": "/choose",
    "masks": "/fill",
}


class Body(BaseModel):
    """A request body. Unknown keys are ignored, because clients send keys that only other servers use."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True)


B = TypeVar("B", bound=Body)
Answer = Callable[[B, str | None], Awaitable[Any]]  # of a body, and of the model name if the path has one


class InvalidBody(Invalid):
    """A body that is not of the expected form; `problems` are those that pydantic found, or similar ones."""

    def __init__(self, problems: SequenceOf[dict[str, Any]]) -> None:
        self.problems = list(problems)
        first = self.problems[0]
        place = ".".join(map(str, first["loc"]))
        text = str(first["msg"])
        text = text.removeprefix("Value error, ")
        more = f" ({len(self.problems) - 1} more)" if len(self.problems) > 1 else ""
        super().__init__(f"the request body is invalid: {f'{place}: ' if place else ''}{text}{more}")


class Unsuited(Invalid):
    """The endpoint does not fit the model; the message says which endpoints do."""


class JsonRouter(APIRouter):
    """Routes, some of which need only a body and the name of a model. `Direct` calls their functions."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.answers: dict[str, RawAnswer] = {}  # by the template of the path

    def answer(self, path: str, answer: RawAnswer, **description: Any) -> None:
        """Answer POST requests; `description` is for the OpenAPI document, as in `add_api_route`."""

        async def endpoint(request: Request) -> Response:
            return await answer(await body_of(request), request.path_params.get("name"))

        self.answers[path] = answer
        self.add_api_route(path, endpoint, methods=["POST"], **description)


def read(raw: bytes, body: type[B]) -> B:
    """The body of a request. Raises InvalidBody."""
    try:
        return body.model_validate_json(raw)
    except ValidationError as error:
        raise InvalidBody(problems_of(error)) from error


def checked(body: type[B], value: Any) -> B:
    """A part of a body, validated as its own type. Raises InvalidBody."""
    try:
        return body.model_validate(value)
    except ValidationError as error:
        raise InvalidBody(problems_of(error)) from error


def problems_of(error: ValidationError, *place: str | int) -> list[dict[str, Any]]:
    """A problem that pydantic found in a body, as plain JSON with loc, msg and type."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [{**problem, "loc": (*place, *problem["loc"])} for problem in found]


@dataclass(frozen=True)
class Endpoints:
    """The endpoints of a wire format, each also under /models/NAME for one of several models."""

    service: Service
    tag: str  # the heading in the OpenAPI document
    routes: JsonRouter = field(default_factory=JsonRouter)

    def post(
        self, path: str, body: type[B], summary: str, example: Mapping[str, Any]
    ) -> Callable[[Answer[B]], Answer[B]]:
        """Register a function that answers requests with plain JSON, or with a Response.

        `example` is a body for the documentation.
        """

        def register(answer: Answer[B]) -> Answer[B]:
            async def answer_raw(raw: bytes, name: str | None) -> Response:
                found = await answer(read(raw, body), name)
                return found if isinstance(found, Response) else json_response(found)

            content = {"schema": body.model_json_schema(), "example": example}
            extra = {"requestBody": {"required": True, "content": {"application/json": content}}}
            for template, is_shown in self._templates(path):
                self.routes.answer(
                    template, answer_raw, summary=summary, tags=[self.tag], openapi_extra=extra,
                    include_in_schema=is_shown,
                )  # fmt: skip
            return answer

        return register

    def get(self, path: str, summary: str) -> Callable[[Callable[[str | None], Any]], Any]:
        """Register a function of the name of the model, if any, that returns plain JSON."""

        def register(answer: Callable[[str | None], Any]) -> Callable[[str | None], Any]:
            async def endpoint(request: Request) -> Response:
                return json_response(answer(request.path_params.get("name")))

            for template, is_shown in self._templates(path):
                self.routes.add_api_route(
                    template, endpoint, methods=["GET"], summary=summary, tags=[self.tag],
                    include_in_schema=is_shown,
                )  # fmt: skip
            return answer

        return register

    def _templates(self, path: str) -> list[tuple[str, bool]]:
        """The templates of a path without and with a model, and whether the OpenAPI document shows them."""
        prefixes = (("", True), ("/models/{name}", False))
        return [((prefix + path).removesuffix("/") or "/", is_shown) for prefix, is_shown in prefixes]


def suited(service: Service, name: str | None, *wants: SequenceOf[str]) -> ServedModel:
    """The named model, or the only one that fits an endpoint.

    A model fits if its predictions have one of the fields `wants`, as in `Service.find`; further groups of
    fields count only if no model fits the first. Raises NotFound for an unknown name, Unsuited if no model
    fits, and Invalid if several do.
    """
    candidates = [service.find(name)] if name is not None else list(service.models.values())
    found: list[ServedModel] = []
    for fields in wants:
        found = found or [m for m in candidates if not m.facts.offered.isdisjoint(fields)]
    if len(found) == 1:
        return found[0]
    if found:
        names = [served.name for served in found]
        raise Invalid(
            f"{len(names)} models fit this request: {listed(names)}. Put /models/NAME before the path, as in "
            f"/models/{names[0]}/"
        )
    needed = " or ".join(name for fields in wants for name in fields)
    has = " ".join(f'"{served.name}" {abilities(served)}.' for served in candidates)
    raise Unsuited(f"this endpoint needs a model that predicts {needed}. {has}")


def abilities(served: ServedModel) -> str:
    """The predictions of a model, and the endpoints that use them."""
    can = served.facts.offered
    paths = dict.fromkeys(path for name, path in _USED_BY.items() if name in can)
    use = f" (use {', '.join(paths)})" if paths else ""
    return f"predicts {', '.join(sorted(can))}{use}"


class Counted(NamedTuple):
    """A decoded prediction and the number of tokens it was computed from."""

    value: Any
    tokens: int


def counting(decode: Decode) -> Decode:
    """A `decode` that returns Counted."""

    def counted(outputs: list[Output], sequences: list[Sequence], example: Any) -> Counted:
        return Counted(decode(outputs, sequences, example), sum(map(len, sequences)))

    return counted
