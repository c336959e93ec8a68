"""Why an HTTP request is not answered, in OpenAI's shape: a status, and one sentence.

{"error": {"message": ..., "type": ..., "param": ..., "code": ...}}
"""

from __future__ import annotations

from math import ceil

import orjson

from ..client import (
    BadInput,
    ClientClosed,
    ControllerUnreachable,
    DeadlinePassed,
    Denied,
    Misunderstood,
    ModserveError,
    Refused,
    RequestFailed,
)

TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
OF_REFUSALS = {  # the controller's code: status, OpenAI's code
    "busy": (429, "rate_limit_exceeded"),
    "closing": (503, "closing"),
    "journal": (503, "journal"),
    "model_changed": (503, "model_changed"),
    "cancelled": (503, "cancelled"),
    "too_slow": (503, "too_slow"),
    "internal": (500, "internal"),
    "too_long": (400, "context_length_exceeded"),
    "too_large": (413, "too_large"),
    "image_too_large": (413, "image_too_large"),
    "image": (422, "invalid_image"),
}
PICTURES = ("expected a picture", "expected a whole")  # how workers begin what is wrong with one
RETRY_S = 1.0  # where the controller knows no time


class Problem(Exception):
    """What the client is told in place of an answer."""

    def __init__(
        self,
        status: int,
        sentence: str,
        *,
        code: str | None = None,
        param: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence
        self.code, self.param, self.retry_after_s = code, param, retry_after_s

    @property
    def body(self) -> bytes:
        fallback = "server_error" if self.status >= 500 else "invalid_request_error"
        told = {
            "message": self.sentence,
            "type": TYPES.get(self.status, fallback),
            "param": self.param,
            "code": self.code,
        }
        return orjson.dumps({"error": told})

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        if self.retry_after_s is not None:
            return [(b"retry-after", str(max(1, ceil(self.retry_after_s))).encode())]
        return [(b"www-authenticate", b"Bearer")] if self.status == 401 else []


def problem_of(error: ModserveError) -> Problem:
    """What the client library raised, as HTTP says it."""
    match error:
        case Refused():
            return _of_refusal(error)
        case BadInput() | Denied():
            return Problem(400, str(error), code="invalid_value")
        case ControllerUnreachable() | ClientClosed() | Misunderstood():
            # neither the controller's address nor its state is the asker's business
            sentence = "expected a controller to ask, it cannot be reached now"
            return Problem(503, sentence, code="unreachable", retry_after_s=RETRY_S)
        case DeadlinePassed():
            return Problem(408, str(error), code="timeout")
        case RequestFailed() if error.reason.startswith("deadline"):
            return Problem(408, error.reason, code="timeout")
        case RequestFailed() if error.reason.startswith(PICTURES):
            return Problem(422, error.reason, code="invalid_image")
    return Problem(500, str(error), code="failed")


def _of_refusal(error: Refused) -> Problem:
    status, code = OF_REFUSALS.get(error.code, (400, error.code))
    wait_s = error.retry_after_s
    if wait_s is None and status in (429, 503):
        wait_s = RETRY_S
    return Problem(status, error.reason, code=code, retry_after_s=wait_s)
