"""ZeroMQ sockets on an asyncio loop: frames in by callback, frames out at once or not at all.

A socket is drained in batches from its file descriptor rather than by one await per message.
The descriptor is edge-triggered and its edge may be eaten by a send, so every send looks at the
socket once more. Nothing here waits: a queue that is full (the peer stopped reading) and a peer
that is gone are told to the caller, who decides.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from enum import Enum, auto
from ipaddress import ip_address
from typing import Any

import zmq
from zmq.auth.thread import ThreadAuthenticator

from .security import Gate, PeerKeys

Frames = Sequence[Any]  # bytes-like; zmq.Frame where they came from a socket

BATCH = 16  # messages taken in one go before other callbacks, the journal's too, get their turn
HIGHEST_PORT = 65_535
BACKLOG = 1024  # connections that wait to be accepted
ZAP_DOMAIN = "modserve"
MOST_KEYS = 100_000  # of peers; whose is forgotten is heard again with its next word
NOW, NOW_AND_MORE = int(zmq.NOBLOCK), int(zmq.NOBLOCK | zmq.SNDMORE)  # enums are slow to combine
LARGE = 64 * 1024  # bytes from which a frame is sent without a copy


class Sent(Enum):
    OK = auto()
    GONE = auto()  # nobody is connected under that identity
    FULL = auto()  # the peer does not read; its queue is at the limit


class BadAddress(ValueError):
    """An endpoint that cannot be bound or connected to, and why."""


class _Socket:
    def __init__(
        self,
        kind: int,
        on_frames: Callable[[list[zmq.Frame]], None],
        context: zmq.Context[Any] | None = None,
    ) -> None:
        self._shares = context is not None
        self._context: zmq.Context[Any] = zmq.Context() if context is None else context
        self.socket: zmq.Socket[bytes] = self._context.socket(kind)
        self._on_frames = on_frames
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self.closed = False

    def _listen(self) -> None:
        self._fd = int(self.socket.getsockopt(zmq.FD))
        self._loop.add_reader(self._fd, self._drain)
        self._look_again()

    def _look_again(self) -> None:
        if not (self._scheduled or self.closed):
            self._scheduled = True
            self._loop.call_soon(self._drain)

    def _drain(self) -> None:
        self._scheduled = False
        more = True  # a handler that failed leaves messages behind, which are not its fault
        try:
            more = self._take_batch()
        finally:
            if more:
                self._look_again()

    def _take_batch(self) -> bool:
        """Whether there may be more."""
        for _ in range(BATCH):
            if self.closed:
                return False
            try:
                frames = [self.socket.recv(NOW, copy=False)]
            except zmq.Again:
                return False
            while frames[-1].more:
                frames.append(self.socket.recv(copy=False))
            self._on_frames(frames)
        return True

    def _send(self, frames: Frames) -> Sent:
        if self.closed:
            return Sent.GONE
        last = len(frames) - 1
        try:
            for place, frame in enumerate(frames):
                small = isinstance(frame, bytes) and len(frame) < LARGE
                self.socket.send(frame, NOW if place == last else NOW_AND_MORE, copy=small)
        except zmq.Again:
            return Sent.FULL
        except zmq.ZMQError as error:
            if error.errno == zmq.EHOSTUNREACH:
                return Sent.GONE
            raise
        finally:
            self._look_again()
        return Sent.OK

    def close(self, linger_s: float = 1.0) -> None:
        """Stop listening; what is queued is given `linger_s` to leave."""
        if self.closed:
            return
        self.closed = True
        self._loop.remove_reader(self._fd)
        self.socket.close(linger=int(linger_s * 1000))
        if not self._shares:
            self._context.destroy(linger=int(linger_s * 1000))


class Router(_Socket):
    """The controller's end: many peers, each by the identity that ZeroMQ gave it."""

    def __init__(
        self,
        endpoint: str,
        on_message: Callable[[bytes, list[zmq.Frame]], None],
        *,
        max_frame_bytes: int,
        queue: int = 10_000,
        handshake_s: float = 5.0,
        gate: Gate | None = None,
    ) -> None:
        """Bind `endpoint`; raises BadAddress. A frame above the limit ends its connection, and so
        does a stranger that connects and then speaks no ZeroMQ within `handshake_s`. With `gate`
        only those get through that it allows, and nobody is heard any more that it shuts out."""
        super().__init__(zmq.ROUTER, self._admit)
        self._on_message, self._gate = on_message, gate
        self._keys: dict[bytes, bytes] = {}  # of peers by identity, if there is a gate
        self._doorman = None if gate is None else self._guard(gate)
        self.socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # the default drops silently
        self.socket.setsockopt(zmq.ROUTER_HANDOVER, 1)  # a peer that reconnects keeps its name
        self.socket.setsockopt(zmq.MAXMSGSIZE, max_frame_bytes)
        self.socket.setsockopt(zmq.HANDSHAKE_IVL, int(handshake_s * 1000))
        self.socket.setsockopt(zmq.BACKLOG, BACKLOG)
        self.socket.setsockopt(zmq.SNDHWM, queue)
        self.socket.setsockopt(zmq.RCVHWM, queue)
        try:
            self.socket.bind(wildcard(endpoint))
        except zmq.ZMQError as error:
            if self._doorman is not None:
                self._doorman.stop()
            self.socket.close(linger=0)
            self._context.term()
            raise BadAddress(f"cannot bind {endpoint}: {error.strerror or error}") from error
        self.endpoint = self.socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._listen()

    def _guard(self, gate: Gate) -> ThreadAuthenticator:
        doorman = ThreadAuthenticator(self._context, log=logging.getLogger("zmq.auth"))
        doorman.start()
        doorman.configure_curve_callback(ZAP_DOMAIN, gate)
        self.socket.setsockopt(zmq.CURVE_SERVER, 1)
        self.socket.setsockopt_string(zmq.CURVE_SECRETKEY, gate.pair.secret)
        self.socket.setsockopt_string(zmq.ZAP_DOMAIN, ZAP_DOMAIN)  # no handshake without him
        return doorman

    def _admit(self, frames: list[zmq.Frame]) -> None:
        identity = frames[0].bytes
        if self._gate is not None:
            key = key_of(frames)
            if not self._gate.allows(key):
                return
            self._keys.pop(identity, None)  # the ones that were silent longest are forgotten
            self._keys[identity] = key
            if len(self._keys) > MOST_KEYS:
                del self._keys[next(iter(self._keys))]
        self._on_message(identity, frames[1:])

    def send(self, identity: bytes, *frames: Any) -> Sent:
        if self._gate is not None and not self._gate.allows(self._keys.get(identity, b"")):
            return Sent.GONE
        return self._send((identity, *frames))

    def close(self, linger_s: float = 1.0) -> None:
        if self._doorman is not None and not self.closed:
            self._doorman.stop()
        super().close(linger_s)


class Dealer(_Socket):
    """A worker's or client's end: one peer, reconnected to by ZeroMQ itself."""

    def __init__(
        self,
        endpoint: str,
        on_message: Callable[[list[zmq.Frame]], None],
        *,
        max_frame_bytes: int = -1,
        queue: int = 100_000,
        keys: PeerKeys | None = None,
        reconnected: Callable[[], None] | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """`reconnected` is told whenever a connection took the place of one that broke: what was
        said last may not have been heard, on either side. `context`: of somebody who has many, and
        ends it; by default each has its own."""
        super().__init__(zmq.DEALER, on_message, context)
        self._monitor: zmq.Socket[bytes] | None = None
        self._reconnected = reconnected
        self._connections = 0
        if reconnected is not None:
            self._monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
            self._monitor_fd = int(self._monitor.getsockopt(zmq.FD))
            self._loop.add_reader(self._monitor_fd, self._look_at_monitor)
        if keys is not None:
            self.socket.setsockopt_string(zmq.CURVE_SERVERKEY, keys.controller)
            self.socket.setsockopt_string(zmq.CURVE_PUBLICKEY, keys.public)
            self.socket.setsockopt_string(zmq.CURVE_SECRETKEY, keys.secret)
        self.socket.setsockopt(zmq.IDENTITY, b"\1" + secrets.token_bytes(15))  # unguessable
        self.socket.setsockopt(zmq.MAXMSGSIZE, max_frame_bytes)
        self.socket.setsockopt(zmq.SNDHWM, queue)
        self.socket.setsockopt(zmq.RCVHWM, queue)
        self.socket.setsockopt(zmq.RECONNECT_IVL, 50)
        self.socket.setsockopt(zmq.RECONNECT_IVL_MAX, 1000)
        try:
            self.socket.connect(endpoint)
        except zmq.ZMQError as error:
            self._end_monitor()
            self.socket.close(linger=0)
            if not self._shares:
                self._context.term()
            raise BadAddress(f"cannot connect to {endpoint}: {error.strerror or error}") from error
        self._listen()
        if self._monitor is not None:  # its descriptor tells of nothing before a first reading
            self._loop.call_soon(self._look_at_monitor)

    def send(self, *frames: Any) -> Sent:
        return self._send(frames)

    def close(self, linger_s: float = 1.0) -> None:
        self._end_monitor()
        super().close(linger_s)

    def _look_at_monitor(self) -> None:
        """Its descriptor is edge-triggered, too."""
        while self._monitor is not None:
            try:
                self._monitor.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            self._connections += 1
            if self._connections > 1 and self._reconnected is not None:
                self._reconnected()

    def _end_monitor(self) -> None:
        monitor, self._monitor = self._monitor, None
        if monitor is not None:
            self._loop.remove_reader(self._monitor_fd)
            self.socket.disable_monitor()
            monitor.close(linger=0)


def key_of(frames: Sequence[zmq.Frame]) -> bytes:
    """The public key that a message came with, empty where there was none."""
    try:
        key = frames[-1].get("User-Id")
    except zmq.ZMQError:
        return b""
    return key.encode() if isinstance(key, str) else b""


def wildcard(endpoint: str) -> str:
    """Port 0 is how people write "any free port"; ZeroMQ wants a star."""
    return endpoint[:-2] + ":*" if endpoint.endswith(":0") else endpoint


def _is_port(text: str) -> bool:
    return text == "*" or (text.isdecimal() and len(text) <= 5 and int(text) <= HIGHEST_PORT)


def is_loopback(endpoint: str) -> bool:
    """Whether only this host can reach `endpoint`; raises BadAddress where it is no endpoint."""
    scheme, _, rest = endpoint.partition("://")
    if scheme == "ipc":
        return True
    host, _, port = rest.rpartition(":")
    if scheme != "tcp" or not host or not _is_port(port):
        raise BadAddress(f"expected an address like tcp://127.0.0.1:7700, got {endpoint}")
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
