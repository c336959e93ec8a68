"""What was resolved and checked is what is connected to, whatever a name says next."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from modserve.client.media import BadMedia, Fetcher, Limits, Policy

from .files import picture
from .servers import TRUST, Names, Server, moved, ok, serving

GOOD = picture()
CERTIFICATES = Path(__file__).parent / "certificates"


async def _both(names: Names, asks: int) -> tuple[list[object], int, int]:
    """127.0.0.1 is open to all the world and 127.0.0.2 is inner, one port on both: what came of
    asking rebound.test so often, and how often each was met."""
    async with serving({"/": ok(GOOD)}) as outer:
        outer.answers["/again"] = moved("/")
        async with serving({"/": ok(GOOD)}, host="127.0.0.2", port=outer.port) as inner:
            policy = Policy.of(["127.0.0.1"], ports=[outer.port])
            fetcher = Fetcher(policy=policy, resolver=names, trust=TRUST)
            path = "/again" if asks == 1 else "/"
            urls = [outer.url(path, "rebound.test")] * asks
            came = await asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)
            await fetcher.close()
            return list(came), outer.met, inner.met


def test_a_name_is_resolved_once_for_each_connection_and_checked_each_time() -> None:
    names = Names(rebound_test=["127.0.0.1", "127.0.0.2"])
    came, outer, inner = asyncio.run(_both(names, 2))
    assert GOOD in came and len([one for one in came if isinstance(one, BadMedia)]) == 1
    assert (outer, inner) == (1, 0)
    assert len(names.asked) == 2


def test_a_name_that_turns_inside_between_two_redirects_is_refused() -> None:
    names = Names(rebound_test=["127.0.0.1", "127.0.0.2"])
    came, outer, inner = asyncio.run(_both(names, 1))
    assert isinstance(came[0], BadMedia)
    assert (outer, inner) == (1, 0)


@pytest.mark.parametrize("found", ["127.0.0.1 127.0.0.2", "127.0.0.2 127.0.0.1", "127.0.0.1 ::1"])
def test_a_name_that_leads_inside_by_one_of_its_addresses_is_refused(found: str) -> None:
    came, outer, inner = asyncio.run(_both(Names(rebound_test=[found]), 2))
    assert all(isinstance(one, BadMedia) for one in came)
    assert (outer, inner) == (0, 0)


def test_the_next_address_is_tried_where_nobody_listens_at_the_first() -> None:
    async def fetched() -> bytes:
        async with serving({"/": ok(GOOD)}, host="127.0.0.2") as server:
            policy = Policy.of(["127.0.0.0/8"], ports=[server.port])
            names = Names(good_test=["127.0.0.3 127.0.0.2"])
            fetcher = Fetcher(policy=policy, resolver=names, trust=TRUST)
            return await fetcher.fetch(server.url("/", "good.test"))

    assert asyncio.run(fetched()) == GOOD


# TLS: the certificate is good.test's, signed by an authority of our own.


def _served() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "good.test.pem")
    return context


def _trusted() -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(CERTIFICATES / "authority.pem"))


async def _secured(host: str, trust: ssl.SSLContext, location: str = "") -> tuple[bytes, Server]:
    async with serving({"/": ok(GOOD)}, tls=_served()) as server, serving() as plain:
        server.answers["/moved"] = moved(location.format(plain=plain.port, port=server.port))
        plain.answers["/"] = ok(GOOD)
        policy = Policy.of(["127.0.0.1"], ports=[server.port, plain.port])
        names = Names(good_test=["127.0.0.1"], other_test=["127.0.0.1"])
        fetcher = Fetcher(policy=policy, resolver=names, trust=trust)
        path = "/moved" if location else "/"
        return await fetcher.fetch(f"https://{host}:{server.port}{path}"), server


def test_a_certificate_is_checked_against_the_name_not_the_address() -> None:
    data, server = asyncio.run(_secured("good.test", _trusted()))
    assert data == GOOD
    assert f"Host: good.test:{server.port}\r\n" in server.asked[0]


@pytest.mark.parametrize("host", ["other.test", "127.0.0.1"])
def test_a_certificate_of_another_name_is_refused(host: str) -> None:
    with pytest.raises(BadMedia) as caught:
        asyncio.run(_secured(host, _trusted()))
    assert caught.value.status == 400


def test_a_certificate_of_an_unknown_authority_is_refused() -> None:
    with pytest.raises(BadMedia):
        asyncio.run(_secured("good.test", TRUST))


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_redirect_may_stay_with_tls_and_not_leave_it(scheme: str) -> None:
    port = "{port}" if scheme == "https" else "{plain}"
    asked = _secured("good.test", _trusted(), f"{scheme}://good.test:{port}/")
    if scheme == "https":
        assert asyncio.run(asked)[0] == GOOD
    else:
        with pytest.raises(BadMedia):
            asyncio.run(asked)


@pytest.mark.parametrize("greeting", [ok(GOOD), b"", b"\x15\x03\x03\x00\x02\x02\x28"])
def test_a_handshake_that_is_none_is_refused(greeting: bytes) -> None:
    async def refused() -> BadMedia:
        async with serving() as server:
            server.greeting = greeting
            policy = Policy.of(["127.0.0.1"], ports=[server.port])
            fetcher = Fetcher(Limits(connect_s=0.5), policy, trust=TRUST)
            with pytest.raises(BadMedia) as caught:
                await fetcher.fetch(f"https://127.0.0.1:{server.port}/")
            return caught.value

    assert asyncio.run(refused()).status == (400 if greeting else 408)


def test_a_handshake_that_is_given_up_leaves_no_connection() -> None:
    """The picture's own time is over first."""

    async def left() -> bool:
        async with serving() as server:
            policy = Policy.of(["127.0.0.1"], ports=[server.port])
            fetcher = Fetcher(Limits(item_s=0.3), policy, trust=TRUST)
            with pytest.raises(BadMedia):
                await fetcher.fetch(f"https://127.0.0.1:{server.port}/")
            async with asyncio.timeout(20):
                await server.ended.wait()
            return True

    assert asyncio.run(left())
