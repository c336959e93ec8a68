"""Servers of strangers: what they may answer, how long, and where they may send us."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import replace

import pytest

from modserve.client.media import BadMedia, Fetcher, Limits, Policy

from .files import picture, zipped_bomb
from .servers import (
    ENDLESS,
    TRUST,
    Answer,
    Names,
    Server,
    moved,
    ok,
    reset,
    serving,
    silence,
    without_end,
)

GOOD = picture()
LIMITS = Limits(bytes=100_000, item_s=20.0, grace_s=0.5, least_rate=10_000)
CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
EARLY = b"HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n"
STATUSES = (201, 202, 204, 206, 300, 304, 400, 401, 403, 404, 407, 418, 429, 500, 502, 503, 999)


def _status(status: int) -> bytes:
    return ok(GOOD).replace(b"200 OK", f"{status} So".encode())


def _answers() -> Iterator[tuple[str, set[int], bytes | Answer]]:
    """What a server may answer, with the statuses that are right for it."""
    slow, large, no_picture, odd = {408}, {413}, {422}, {400}
    yield "silence", slow, silence
    yield "a head that drips", slow, without_end(b"HTTP/1.1 200 OK\r\nA: ", b"a", 0.02)
    yield "heads that drip", slow, without_end(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", 0.02)
    yield "a body that drips", slow, without_end(ENDLESS + GOOD[:200], b"a", 0.02)
    yield "chunks that drip", slow, without_end(CHUNKED, b"1\r\na\r\n", 0.02)
    yield "a body that stops", slow, without_end(ok(GOOD[:99], length=len(GOOD)), b"", 0.1)
    yield "early hints that drip", slow, without_end(EARLY, EARLY, 0.02)
    yield "a body without an end", large, without_end(ENDLESS + GOOD, bytes(8192))
    yield "chunks without an end", large, without_end(CHUNKED, b"1000\r\n" + bytes(4096) + b"\r\n")
    yield "a head without an end", {400, 413}, without_end(b"HTTP/1.1 200 OK\r\nA: ", b"a" * 4096)
    yield "heads without an end", {400, 413}, without_end(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 99)
    yield "early hints without an end", large, without_end(EARLY, EARLY * 50)
    yield "chunks of one byte", {400, 408}, without_end(CHUNKED, b"1\r\na\r\n" * 500)
    yield "a chunk's name without an end", {400, 413}, without_end(CHUNKED + b"1;", b"a" * 4096)
    yield "trailers without an end", {400, 413}, without_end(CHUNKED + b"0\r\n", b"A: b\r\n" * 99)
    yield "a terabyte, it says", large, without_end(ok(GOOD, length=10**12), bytes(4096))
    yield "one byte over the limit", large, ok(bytes(LIMITS.bytes + 1))
    yield "a length of 5,000 digits", {400, 413}, _length("9" * 5000)
    yield "a negative length", odd, _length("-1")
    yield "two lengths", odd, ok(GOOD, "Content-Length: 1")
    yield "a length that is none", odd, _length("0x10")
    yield "fewer bytes than it says", odd, ok(GOOD[:200], length=len(GOOD))
    yield "a chunk that is none", odd, CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"
    yield "a chunk of 2^80 bytes", {400, 413}, CHUNKED + b"f" * 20 + b"\r\n" + bytes(500)
    yield "a negative chunk", odd, CHUNKED + b"-5\r\nabcde\r\n0\r\n\r\n"
    yield "chunks without the last", odd, CHUNKED + b"5\r\nabcde\r\n"
    yield "gzip", no_picture, ok(gzip.compress(GOOD), "Content-Encoding: gzip")
    yield "a gzip bomb", no_picture, ok(zipped_bomb()[:90_000], "Content-Encoding: gzip")
    yield "gzip in gzip", no_picture, ok(zipped_bomb()[:9000], "Content-Encoding: gzip, gzip")
    yield "deflate", no_picture, ok(GOOD, "Content-Encoding: deflate")
    yield "Brotli", no_picture, ok(GOOD, "Content-Encoding: br")
    yield "Zstandard", no_picture, ok(GOOD, "Content-Encoding: ZSTD")
    zipped = CHUNKED.replace(b"chunked", b"gzip, chunked")
    yield "gzip as a transfer", odd, zipped + b"5\r\nabcde\r\n0\r\n\r\n"
    for kind in ("text/html", "application/json", "application/pdf", "video/mp4", "imagex/png", ""):
        yield f"a picture as {kind!r}", no_picture, ok(GOOD, kind=kind)
    yield "a page as a picture", no_picture, ok(b"<html>secret</html>")
    yield (
        "an SVG",
        no_picture,
        ok(b"<svg xmlns='http://www.w3.org/2000/svg'/>", kind="image/svg+xml"),
    )
    yield "nothing", no_picture, ok(b"")
    for status in STATUSES:
        yield f"status {status}", odd, _status(status)
    yield "another protocol", odd, b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\n\r\n" + GOOD
    yield "a picture without a head", odd, GOOD
    yield "SSH", odd, b"SSH-2.0-OpenSSH_9.6\r\n\r\n"
    yield "SMTP", odd, b"220 mail.test ESMTP\r\n250 ok\r\n"
    yield "Redis", odd, b"-ERR wrong number of arguments for 'get' command\r\n"
    yield "HTTP/2", odd, b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(40)
    yield "a head that is cut", odd, b"HTTP/1.1 200 OK\r\nContent-Le"
    yield "a head with a line of its own", odd, ok(GOOD, "A: b\r\n no: where\x00")
    yield "nothing, at once", odd, b""
    yield "a reset", odd, reset


def _length(told: str) -> bytes:
    return ENDLESS.replace(b"\r\n\r\n", f"\r\nContent-Length: {told}\r\n\r\n".encode()) + GOOD


ANSWERS = {name: (statuses, answer) for name, statuses, answer in _answers()}
REDIRECTS = {  # where a server sends us; {port} is its own, which is open
    "metadata": "http://169.254.169.254/latest/meta-data/",
    "metadata, in decimal": "http://2852039166/",
    "metadata, mapped": "http://[::ffff:169.254.169.254]/",
    "metadata, without a scheme": "//169.254.169.254/",
    "metadata, by name": "http://metadata.test:{port}/",
    "loopback, at another address": "http://127.0.0.2:{port}/good",
    "loopback, mapped": "http://[::ffff:127.0.0.1]:{port}/good",
    "loopback, short": "http://127.1:{port}/good",
    "another port": "http://127.0.0.1:22/",
    "a file": "file:///etc/passwd",
    "data": "data:image/png;base64,iVBORw0KGgo=",
    "gopher": "gopher://127.0.0.1:{port}/_good",
    "user-info": "http://good.test:{port}@127.0.0.1:{port}/good",
    "a backslash": "http:\\\\127.0.0.1:{port}\\good",
    "a space": "http://127.0.0.1:{port}/ good",
    "a tab": "http://127.0.0.1:{port}\t/good",
    "no host": "http:///good",
    "nowhere": "",
    "itself": "/redirect",
    "characters that are not ASCII": "http://127.0.0.1:{port}/g\xf6\xf6d",
    "too long": "/" + "a" * 9000,
}


def _fetch(answers: dict[str, bytes | Answer], path: str, limits: Limits = LIMITS) -> bytes:
    async def fetched() -> bytes:
        async with serving(answers) as server:
            return await _fetched(server, server.url(path), limits)

    return asyncio.run(fetched())


async def _fetched(server: Server, url: str, limits: Limits = LIMITS) -> bytes:
    policy = Policy.of([f"127.0.0.1:{server.port}"], ports=[server.port])
    names = Names(metadata_test=["169.254.169.254"])
    fetcher = Fetcher(limits, policy, resolver=names, trust=TRUST)
    try:
        return await asyncio.wait_for(fetcher.fetch(url), 60)
    finally:
        await fetcher.close()


@pytest.mark.parametrize("name", ANSWERS)
def test_a_hostile_answer_is_refused(name: str) -> None:
    statuses, answer = ANSWERS[name]
    with pytest.raises(BadMedia) as caught:
        _fetch({"/": answer}, "/")
    assert caught.value.status in statuses


@pytest.mark.parametrize(
    ("name", "status"), [("chunks of one byte", 400), ("early hints without an end", 413)]
)
def test_what_would_keep_the_loop_busy_is_not_left_to_a_deadline(name: str, status: int) -> None:
    with pytest.raises(BadMedia) as caught:
        _fetch({"/": ANSWERS[name][1]}, "/", replace(LIMITS, grace_s=60.0, item_s=60.0))
    assert caught.value.status == status


@pytest.mark.parametrize("name", REDIRECTS)
def test_a_hostile_redirect_is_refused(name: str) -> None:
    async def refused() -> int:
        async with serving({"/good": ok(GOOD)}) as server:
            server.answers["/redirect"] = moved(REDIRECTS[name].format(port=server.port))
            with pytest.raises(BadMedia) as caught:
                await _fetched(server, server.url("/redirect"))
            assert not any("/good" in head for head in server.asked)
            assert caught.value.status == 400
            return server.met

    assert asyncio.run(refused()) == (4 if name == "itself" else 1)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_three_redirects_are_followed_and_no_more(status: int) -> None:
    answers: dict[str, bytes | Answer] = {"/0": ok(GOOD)}
    answers |= {f"/{n}": moved(f"/{n - 1}", status) for n in range(1, 5)}
    assert _fetch(answers, "/3") == GOOD
    with pytest.raises(BadMedia):
        _fetch(answers, "/4")


@pytest.mark.parametrize(
    "answer",
    [
        ok(GOOD, kind="application/octet-stream"),
        ok(GOOD, kind="IMAGE/PNG; charset=utf-8"),
        ok(GOOD, kind="image/jpeg"),  # what it is called does not count
        ok(GOOD, "Content-Encoding: identity"),
        ENDLESS + GOOD,
        ENDLESS.replace(b"Content-Type: image/png", b"A: b") + GOOD,
        CHUNKED + b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD),
        EARLY + ok(GOOD),
        ok(GOOD) + b"HTTP/1.1 200 OK\r\n\r\nanother answer",
    ],
)
def test_an_ordinary_answer_is_taken(answer: bytes) -> None:
    assert _fetch({"/": answer}, "/") == GOOD


def test_what_is_asked_is_this_and_no_more() -> None:
    async def asked() -> tuple[str, int]:
        async with serving({"/a%20b?c=d": ok(GOOD, "Set-Cookie: a=b")}) as server:
            for _ in range(2):
                await _fetched(server, server.url("/a b?c=d#e".replace(" ", "%20")))
            assert server.asked[0] == server.asked[1]
            return server.asked[0], server.port

    head, port = asyncio.run(asked())
    assert head.split("\r\n") == [
        "GET /a%20b?c=d HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Accept: image/*",
        "Accept-Encoding: identity",
        "Connection: close",
        "User-Agent: modserve",
        "",
        "",
    ]


def test_proxies_of_the_environment_are_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert _fetch({"/": ok(GOOD)}, "/") == GOOD
