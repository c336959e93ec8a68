"""The ZeroMQ ends: order, a peer that vanished, one that stopped reading, sizes, addresses."""

from __future__ import annotations

import asyncio

import pytest
import zmq

from modserve.transport.channels import BadAddress, Dealer, Router, Sent, is_loopback

from .waiting import until


def test_messages_arrive_in_order_both_ways() -> None:
    async def run() -> None:
        back: list[bytes] = []

        def answer(identity: bytes, frames: list[zmq.Frame]) -> None:
            for frame in frames:
                router.send(identity, frame.bytes)

        router = Router(
            "tcp://127.0.0.1:0",
            answer,
            max_frame_bytes=1 << 20,
        )
        dealer = Dealer(router.endpoint, lambda frames: back.append(frames[0].bytes))
        sent = [b"%d" % number for number in range(2_000)]
        for body in sent:
            assert dealer.send(body) is Sent.OK
        await until(lambda: len(back) == len(sent))
        assert back == sent
        dealer.close()
        router.close()

    asyncio.run(run())


def test_a_peer_that_vanished_is_noticed_at_the_next_send() -> None:
    async def run() -> None:
        seen: list[bytes] = []
        router = Router(
            "tcp://127.0.0.1:0", lambda identity, _: seen.append(identity), max_frame_bytes=1 << 20
        )
        dealer = Dealer(router.endpoint, lambda frames: None)
        dealer.send(b"hello")
        await until(lambda: bool(seen))
        assert router.send(seen[0], b"there") is Sent.OK
        dealer.close()
        await until(lambda: router.send(seen[0], b"there?") is Sent.GONE)
        assert router.send(b"nobody", b"there") is Sent.GONE
        router.close()

    asyncio.run(run())


def test_every_connection_made_anew_is_told() -> None:
    async def run() -> None:
        heard: list[bytes] = []
        told: list[int] = []

        def bind(endpoint: str) -> Router:
            return Router(
                endpoint, lambda _, frames: heard.append(frames[0].bytes), max_frame_bytes=1 << 20
            )

        router = bind("tcp://127.0.0.1:0")
        endpoint = router.endpoint
        dealer = Dealer(endpoint, lambda frames: None, reconnected=lambda: told.append(len(told)))
        dealer.send(b"first")
        await until(lambda: heard == [b"first"])
        assert told == []
        while len(told) < 3:
            before = len(told)
            router.close(0.0)
            router = bind(endpoint)
            await until(lambda: len(told) > before)  # noqa: B023 - it is over by the next round
        dealer.close()
        router.close()

    asyncio.run(run())


def test_a_reader_that_stopped_fills_its_queue_and_no_other() -> None:
    async def run() -> None:
        seen: list[bytes] = []
        heard: list[bytes] = []
        router = Router(
            "tcp://127.0.0.1:0",
            lambda identity, _: seen.append(identity),
            max_frame_bytes=1 << 20,
            queue=10,
        )
        deaf = Dealer(router.endpoint, lambda frames: None, queue=1)
        deaf._loop.remove_reader(deaf._fd)
        deaf.send(b"hello")
        await until(lambda: len(seen) == 1)
        deaf.closed = True  # its drain runs no more, as in a process that was stopped
        await until(lambda: router.send(seen[0], bytes(60_000)) is Sent.FULL)
        good = Dealer(router.endpoint, lambda frames: heard.append(frames[0].bytes))
        good.send(b"hello")
        await until(lambda: len(seen) == 2)
        assert router.send(seen[1], b"news") is Sent.OK
        await until(lambda: heard == [b"news"])
        deaf.closed = False
        deaf._loop.add_reader(deaf._fd, lambda: None)
        deaf.close(0)
        good.close()
        router.close(0)

    asyncio.run(run())


def test_a_frame_over_the_limit_never_reaches_the_controller() -> None:
    async def run() -> None:
        got: list[int] = []
        router = Router(
            "tcp://127.0.0.1:0",
            lambda _, frames: got.append(len(frames[0].bytes)),
            max_frame_bytes=1000,
        )
        big = Dealer(router.endpoint, lambda frames: None)
        big.send(bytes(1001))
        small = Dealer(router.endpoint, lambda frames: None)
        small.send(bytes(1000))
        await until(lambda: bool(got))
        assert got == [1000]
        big.close(0)
        small.close()
        router.close()

    asyncio.run(run())


def test_connections_that_never_speak_are_closed_and_harm_nobody() -> None:
    async def run() -> None:
        seen: list[bytes] = []
        router = Router(
            "tcp://127.0.0.1:0",
            lambda _, frames: seen.append(frames[0].bytes),
            max_frame_bytes=1 << 20,
            handshake_s=0.3,
        )
        port = int(router.endpoint.rpartition(":")[2])
        flood = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        dealer = Dealer(router.endpoint, lambda frames: None)
        dealer.send(b"hello")
        await until(lambda: seen == [b"hello"])
        async with asyncio.timeout(10):
            for reader, _ in flood:
                await reader.read()  # to the end: the other side has closed it
        for _, writer in flood:
            writer.close()
            await writer.wait_closed()
        dealer.close()
        router.close()

    asyncio.run(run())


def test_a_port_in_use_is_one_sentence() -> None:
    async def run() -> None:
        router = Router("tcp://127.0.0.1:0", lambda *_: None, max_frame_bytes=1000)
        with pytest.raises(BadAddress, match=r"cannot bind .*Address already in use"):
            Router(router.endpoint, lambda *_: None, max_frame_bytes=1000)
        router.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("tcp://127.0.0.1:7700", True),
        ("tcp://127.5.0.1:0", True),
        ("tcp://localhost:1", True),
        ("tcp://[::1]:5", True),
        ("ipc:///tmp/x", True),
        ("tcp://0.0.0.0:7700", False),
        ("tcp://*:7700", False),
        ("tcp://10.0.0.1:7700", False),
        ("tcp://example.org:7700", False),
    ],
)
def test_what_counts_as_loopback(endpoint: str, expected: bool) -> None:
    assert is_loopback(endpoint) is expected


@pytest.mark.parametrize("endpoint", ["", "7700", "tcp://", "http://127.0.0.1:1", "tcp://h:p"])
def test_what_is_no_address(endpoint: str) -> None:
    with pytest.raises(BadAddress, match="expected an address like"):
        is_loopback(endpoint)
