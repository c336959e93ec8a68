"""An HTTP server that answers as a test tells it to: real sockets, a thread for each request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson

DEADLINE_S = 10.0


class Web(ThreadingHTTPServer):
    """`asked` holds what came, as (path, headers, body)."""

    daemon_threads = False
    request_queue_size = 128

    def __init__(self, answer: Callable[[Request], None]) -> None:
        super().__init__(("127.0.0.1", 0), Request)
        self.answer = answer
        self.asked: list[tuple[str, dict[str, str], dict[str, Any]]] = []
        self.left = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Request(BaseHTTPRequestHandler):
    server: Web

    def do_POST(self) -> None:
        body = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        with suppress(ConnectionError):
            self.server.answer(self)

    def begin(self, status: int = 200, kind: str = "text/event-stream") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def say(self, *events: Any) -> None:
        """Objects as JSON, strings as they are."""
        for event in events:
            data = event if isinstance(event, str) else orjson.dumps(event).decode()
            self.wfile.write(f"data: {data}\n\n".encode())

    def wait_until_left(self) -> None:
        self.connection.settimeout(DEADLINE_S)
        if self.connection.recv(1) == b"":
            self.server.left.set()

    def log_message(self, format: str, *args: Any) -> None:
        """The log of a test is the test's."""


@contextmanager
def serving(answer: Callable[[Request], None]) -> Iterator[Web]:
    with Web(answer) as web:
        thread = threading.Thread(target=web.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield web
        finally:
            web.shutdown()
            thread.join(DEADLINE_S)


def chunk(content: str | None, finish: str | None = None, **delta: Any) -> dict[str, Any]:
    """As vLLM writes it."""
    told = {"content": content, **delta} if content is not None else delta
    return {"id": "a", "choices": [{"index": 0, "delta": told, "finish_reason": finish}]}


def usage(prompt: int, completion: int) -> dict[str, Any]:
    counted = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": 0}
    return {"id": "a", "choices": [], "usage": counted}


def whole(*texts: str) -> Callable[[Request], None]:
    """An answer of one chunk a token."""

    def answer(request: Request) -> None:
        request.begin()
        request.say(chunk("", role="assistant"))
        request.say(*(chunk(text) for text in texts[:-1]), chunk(texts[-1], "length"))
        request.say(usage(12, len(texts)), "[DONE]")

    return answer
