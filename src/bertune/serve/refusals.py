"""The errors that the HTTP service reports to clients, with their status codes. `replies` renders them."""

import math
from collections.abc import Callable
from typing import Any, ClassVar

from bertune.errors import BertuneError, DataError, InputError, ResourceError


class Refusal(BertuneError):
    """A request that the service does not answer; the message is sent to the client."""

    status: ClassVar[int] = 400
    kind: ClassVar[str] = "bad_request"  # a short name for programs

    @property
    def headers(self) -> dict[str, str]:
        """Headers of the response. Default: none."""
        return {}


class BadRequest(Refusal):
    """The body is not valid JSON, or the request is malformed in another way (400)."""


class Unauthorized(Refusal):
    """The bearer token is missing or wrong (401)."""

    status = 401
    kind = "unauthorized"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class NotFound(Refusal):
    """There is no such model or path (404)."""

    status = 404
    kind = "not_found"


class MethodNotAllowed(Refusal):
    """The path exists, but not for this method (405)."""

    status = 405
    kind = "method_not_allowed"


class TooSlow(Refusal):
    """The client did not send the body within serve.timeout (408)."""

    status = 408
    kind = "request_timeout"


class TooLarge(Refusal):
    """The body, the number of texts, or a text exceeds a limit (413)."""

    status = 413
    kind = "too_large"


class TooLong(TooLarge):
    """A text has more tokens than the model reads, and may not be truncated (413)."""

    kind = "too_long"


class Invalid(Refusal):
    """The request is valid JSON but cannot be predicted, such as a blank text (422)."""

    status = 422
    kind = "invalid"


class Overloaded(Refusal):
    """The queue is full (429)."""

    status = 429
    kind = "overloaded"

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(retry_after))  # seconds

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class Failed(Refusal):
    """An error of the service itself, which the log describes (500)."""

    status = 500
    kind = "failed"


class BadGateway(Refusal):
    """Another service, to which the request was forwarded, cannot be reached or failed (502)."""

    status = 502
    kind = "bad_gateway"


class Unavailable(Refusal):
    """The service is starting, or the request waited longer than serve.timeout (503)."""

    status = 503
    kind = "unavailable"

    def __init__(self, message: str, retry_after: float = 1) -> None:
        super().__init__(message)
        self.retry_after = max(1, math.ceil(retry_after))  # seconds

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


ErrorBody = Callable[[Refusal], Any]  # the plain JSON body that reports a refusal in a wire format


def own_body(refusal: Refusal) -> dict[str, str]:
    """The error body of bertune's own endpoints."""
    return {"error": str(refusal), "kind": refusal.kind}


def refusal_of(error: BertuneError) -> Refusal:
    """The refusal that reports an error raised while a request was handled."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, DataError):
        return Invalid(str(error))
    if isinstance(error, ResourceError):
        return Unavailable(str(error))
    if isinstance(error, InputError):
        return Failed(str(error))
    return Failed("the model failed; see the log of the service")
