"""Everything that a client raises, and what a caller can do about it.

ModserveError
+-- BadInput                 what was passed makes no request; nothing was sent (a ValueError)
|   +-- BadMedia             a URL that leads to no picture, or to one over a limit: media/errors.py
+-- ClientClosed             a verb after close()
+-- DeadlinePassed           the controller is there, but what was asked did not happen in time
|   +-- ControllerUnreachable    nothing was heard from it at all; try again later
+-- Misunderstood            the peer speaks another protocol or another version of it
+-- Denied                   stop or remove: a wrong token, an unknown worker
+-- Refused                  not admitted: `code` for programs, `reason` for people, and
|                            `retry_after_s`, where waiting may help and the controller knows
+-- RequestFailed            admitted, but ended in an error; `answer` is what came before it
    +-- AnswerBroken         tokens are missing or contradict those before; never passed on
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .answers import Answer


class ModserveError(Exception):
    """`str()` of each is one sentence."""


class BadInput(ModserveError, ValueError):
    pass


class ClientClosed(ModserveError):
    pass


class DeadlinePassed(ModserveError, TimeoutError):
    pass


class ControllerUnreachable(DeadlinePassed):
    def __init__(self, endpoint: str, waited_s: float) -> None:
        super().__init__(f"expected a controller at {endpoint}, got no answer in {waited_s:g} s")
        self.endpoint = endpoint
        self.waited_s = waited_s


class Misunderstood(ModserveError):
    pass


class Denied(ModserveError):
    pass


class Refused(ModserveError):
    def __init__(self, code: str, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.retry_after_s = retry_after_s


class RequestFailed(ModserveError):
    def __init__(self, reason: str, answer: Answer) -> None:
        super().__init__(reason)
        self.reason = reason
        self.answer = answer


class AnswerBroken(RequestFailed):
    pass
