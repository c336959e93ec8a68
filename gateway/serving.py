"""Starts a gateway in this process and keeps it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import logging
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
import uvloop

from .access import Access
from .app import build
from .house import House
from .keys import ApiKeys
from .options import GatewayOptions

LOOPBACK = ("127.0.0.1", "::1", "localhost")
BACKLOG = 2048


class BadGateway(Exception):
    """The gateway cannot start as it was told to; one sentence."""


def serve(options: GatewayOptions) -> None:
    """Blocks until SIGTERM or ctrl-C. Prints `ready http://HOST:PORT` once it listens.

    Raises BadGateway.
    """
    logging.basicConfig(
        level=logging.INFO,
        stream=sys.stderr,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    check(options)
    _allow_descriptors()
    with _listening(options.host, options.port) as listening:
        uvloop.run(_serve(options, listening))


def check(options: GatewayOptions) -> None:
    """Raises BadGateway for options that do not go together."""
    if options.host not in LOOPBACK and options.api_keys is None and not options.insecure:
        raise BadGateway(
            "expected a loopback host, or --api-keys, or --insecure to answer whoever asks, "
            f"got {options.host}"
        )
    if (options.tls_cert is None) != (options.tls_key is None):
        raise BadGateway("expected --tls-cert and --tls-key together, got one of them")
    if options.tls_cert is not None:
        try:
            ssl.create_default_context().load_cert_chain(options.tls_cert, options.tls_key)
        except OSError as error:  # ssl's own errors are such
            why = error.strerror or str(error)
            sentence = f"expected a certificate and its key, got {options.tls_cert}: {why}"
            raise BadGateway(sentence) from error


def _allow_descriptors() -> None:
    """One for every connection: as many as this process may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        why = error.strerror or str(error)
        raise BadGateway(f"expected an address to listen on, got {host}:{port}: {why}") from error


async def _serve(options: GatewayOptions, listening: socket.socket) -> None:
    server = Announcing(configuration(options), address_of(options, listening))
    gc.freeze()
    await server.serve(sockets=[listening])


def configuration(options: GatewayOptions) -> uvicorn.Config:
    """Of the server of one gateway; belongs to the running loop. Raises BadApiKeys."""
    keys = None if options.api_keys is None else ApiKeys(options.api_keys)
    return uvicorn.Config(
        build(House(options), Access(keys)),
        log_config=None,
        access_log=False,  # ours says less: no query, no header
        server_header=False,
        timeout_graceful_shutdown=int(options.limits.end_s),
        ssl_certfile=options.tls_cert,
        ssl_keyfile=options.tls_key,
    )


class Announcing(uvicorn.Server):
    """Says on stdout that it listens, and ends well when it is told to."""

    def __init__(self, config: uvicorn.Config, address: str) -> None:
        super().__init__(config)
        self._address = address

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """uvicorn's own raises the signal once more at the end, as if we had died of it."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if not self.should_exit:
            print(f"ready {self._address}", flush=True)


def address_of(options: GatewayOptions, listening: socket.socket) -> str:
    scheme = "http" if options.tls_cert is None else "https"
    host = f"[{options.host}]" if ":" in options.host else options.host
    return f"{scheme}://{host}:{listening.getsockname()[1]}"
