"""The routes, and the border where whatever goes wrong becomes an answer in OpenAI's shape."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from ..client import ModserveError
from .access import Access
from .asking import Asking
from .errors import Problem, problem_of
from .exchange import Exchange, Gone
from .house import House
from .telling import Telling

log = logging.getLogger(__name__)

Answering = Callable[[Exchange], Awaitable[None]]
LEFT = 499  # nginx's word in a log for an asker who did not wait


class Door:
    """One route as an ASGI application; `access` is None where everybody may come in."""

    def __init__(
        self, house: House, route: str, answering: Answering, access: Access | None
    ) -> None:
        self._house, self._route = house, route
        self._answering, self._access = answering, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        began = time.monotonic()
        exchange = Exchange(scope, receive, send, self._house.options.limits)
        status = 0
        try:
            await self._answer(exchange)
        except Gone:
            status = LEFT
        took_s = time.monotonic() - began
        # neither headers nor queries: there may be secrets in them
        told = (scope["method"], scope["path"], exchange.holder, status or exchange.status)
        log.info("%s %s for %s: %d in %.1f ms", *told, took_s * 1000)
        counted = (scope["method"], status or exchange.status, exchange.holder, took_s)
        self._house.traffic.count(self._route, *counted)

    async def _answer(self, exchange: Exchange) -> None:
        try:
            await self._admitted(exchange)
        except Problem as problem:
            await exchange.refuse(problem)
        except ModserveError as error:
            await exchange.refuse(problem_of(error))
        except Gone:
            raise
        except Exception:  # the HTTP border: a bug of ours must not leave anybody without an answer
            log.exception("a request failed")
            await exchange.refuse(Problem(500, "a bug in the gateway; its log tells more"))

    async def _admitted(self, exchange: Exchange) -> None:
        if self._access is None:
            await self._answering(exchange)
            return
        key = self._access.holder(exchange.headers)
        exchange.holder = key.name
        with self._access.admitted(key):
            await self._answering(exchange)


def build(house: House, access: Access) -> Starlette:
    """All routes; the application owns the house."""
    asking, telling = Asking(house), Telling(house)

    def door(path: str, method: str, answering: Answering, access: Access | None = access) -> Route:
        return Route(path, Door(house, path, answering, access), methods=[method])

    @asynccontextmanager
    async def living(app: Starlette) -> AsyncIterator[None]:
        yield
        await house.close()

    app = Starlette(
        routes=[
            door("/v1/chat/completions", "POST", asking.chat),
            door("/v1/completions", "POST", asking.completion),
            door("/v1/models", "GET", telling.models),
            door("/v1/models/{name:path}", "GET", telling.model),
            door("/tokenize", "POST", telling.tokenize),
            door("/openapi.json", "GET", telling.openapi),
            door("/health", "GET", telling.health, None),
            door("/ready", "GET", telling.ready, None),
            door("/metrics", "GET", telling.metrics),
        ],
        exception_handlers={404: _no_route, 405: _no_method},
        lifespan=living,
    )
    app.router.redirect_slashes = False  # a client that follows it may leave its key behind
    return app


async def _no_route(request: Request, error: Exception) -> Response:
    path = request.url.path[:100]
    return _refusal(Problem(404, f"expected a route of /openapi.json, got {path}"))


async def _no_method(request: Request, error: Exception) -> Response:
    allowed = getattr(error, "headers", None) or {}
    method = allowed.get("Allow", "another method")
    response = _refusal(Problem(405, f"expected {method}, got {request.method}"))
    response.headers.update(allowed)
    return response


def _refusal(problem: Problem) -> Response:
    return Response(problem.body, problem.status, media_type="application/json")
