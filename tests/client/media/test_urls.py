"""URLs of strangers: what leads inside, by whatever spelling, is never connected to."""

from __future__ import annotations

import asyncio
from ipaddress import IPv4Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modserve.client.media import BadMedia, Fetcher, Policy
from modserve.client.media.addresses import is_global
from modserve.client.media.urls import read_url

from .files import picture
from .servers import TRUST, Names, ok, serving

LOOPBACK = (  # each of them is 127.0.0.1, or is connected to as if it were, somewhere
    "127.0.0.1",
    "127.1",
    "127.0.1",
    "127.255.255.254",
    "2130706433",
    "017700000001",
    "0177.0.0.1",
    "0177.0.0.01",
    "127.0.0.01",
    "0x7f000001",
    "0x7f.0.0.1",
    "0x7F.1",
    "0",
    "0.0.0.0",
    "0x0",
    "4294967297",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::7f00:1]",
    "[2002:7f00:1::]",
    "[2001::1]",
    "[::ffff:0:127.0.0.1]",
    "[fe80::1%25lo]",
    "[::1%25lo]",
    "[fe80::1%lo]",
    "localhost",
    "LOCALHOST",
    "localhost.",
    "127.0.0.1.",
    "inner.test",
    "mapped.test",
    "both.test",
    "127。0。0。1",
    "１２７.0.0.1",
    "①②⑦.0.0.1",
    "ⓛocalhost",
    "lo%63alhost",
    "127.0.0.1%2f.test",
    "localhost\u3002",
    "loc\u00adalhost",
)
INNER = (  # at port 80, where nobody may listen: refused without a look
    "169.254.169.254",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.16689662",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::]",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.64.0.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "240.0.0.1",
    "192.88.99.1",
    "[ff02::1]",
    "[fc00::1]",
    "[fec0::1]",
    "[2001:db8::1]",
    "[2001:0:a9fe:a9fe::1]",
    "[100::1]",
    "metadata.test",
    "unknown.test",
)
MISSHAPEN = (
    "",
    " ",
    "picture.png",
    "/etc/passwd",
    "file:///etc/passwd",
    "FILE:/etc/passwd",
    "file://localhost/etc/passwd",
    "ftp://good.test/a.png",
    "gopher://good.test:6379/_FLUSHALL",
    "dict://good.test:11211/stats",
    "ws://good.test/",
    "unix:///var/run/docker.sock",
    "http+unix://%2Fvar%2Frun%2Fdocker.sock/info",
    "jar:http://good.test!/a.png",
    "view-source:http://good.test/",
    "blob:http://good.test/1",
    "javascript:alert(1)",
    "//good.test/a.png",
    "http:good.test/a.png",
    "http:/good.test/a.png",
    "http:///a.png",
    "http://",
    "http://:80/a.png",
    "http://?a.png",
    "http://#good.test",
    "http://good.test:0/",
    "http://good.test:65536/",
    "http://good.test:-1/",
    "http://good.test:8o/",
    "http://good.test:80:80/",
    "http://good.test\\@127.0.0.1/",
    "http://127.0.0.1\\@good.test/",
    "http:\\\\127.0.0.1\\",
    "http://good.test@127.0.0.1/",
    "http://user:secret@good.test/",
    "http://user@good.test/",
    "http://127.0.0.1:80@good.test/",
    "http://good.test%40127.0.0.1/",
    "http://good .test/",
    " http://good.test/",
    "http://good.test/ a.png",
    "ht\ttp://good.test/",
    "http://go\tod.test/",
    "http://good.test/\r\nHost: 127.0.0.1",
    "http://good.test/a\nb",
    "http://good.test\x00.127.0.0.1/",
    "http://[::1",
    "http://::1/",
    "http://[::1]good.test/",
    "http://[good.test]/",
    "http://[v1.good]/",
    "http://good..test/",
    "http://.good.test/",
    "http://good.test./",
    "http://-good.test/",
    "http://g*od.test/",
    "http://good$.test/",
    "http://xn--\u00fc.test/",
    "http://" + "a" * 64 + ".test/",
    "http://" + "a." * 127 + "test/",
    "http://good.test/" + "a" * 10_000,
    "http://good.test:80\u2044/",
    "http://1.2.3.4.5/",
    "http://1.2.3.256/",
    "http://0x/",
    "data:,hello",
    "data:image/png,\x89PNG",
    "data:image/png;base64",
    "data:image/png;base64,",
    "data:image/png;base64,!!!!",
    "data:image/png;base64,iVBORw0KGgo",
    "data:image/png;base64,iVBO Rw0K",
    "data:image/png;base64,iVBO\nRw0K",
    "data:image/png;base64,iVBORw0KGg==AAAA",
    "data:image/png;base64,_-__",
    "data:image/png;base64,%69VBO",
    "data:image/png;base64,ｉＶＢＯ",
    "data:image/png;base64,====",
    "data:text/html;base64,PGh0bWw+",
    "data:image/svg+xml;base64,PHN2Zy8+",
    "data:image/png;base32,AAAA",
    "data:;base64,iVBORw0KGgo=",
    "data:" + "image/png;" * 100 + "base64,AAAA",
    "data:image/png;base64," + "A" * 28_000_000,
)
NAMES = {
    "inner_test": ["127.0.0.1"],
    "mapped_test": ["::ffff:127.0.0.1"],
    "both_test": ["93.184.216.34 127.0.0.1"],
    "metadata_test": ["169.254.169.254"],
    "localhost": ["127.0.0.1"],
}


@pytest.mark.parametrize("host", LOOPBACK)
def test_no_spelling_of_an_inner_address_is_connected_to(host: str) -> None:
    """A server listens there, at a port that is open to all the world."""

    async def refused() -> None:
        async with serving({"/": ok(picture())}) as server:
            policy = Policy.of(ports=[server.port])
            fetcher = Fetcher(policy=policy, resolver=Names(**NAMES), trust=TRUST)
            with pytest.raises(BadMedia) as caught:
                await fetcher.fetch(server.url(host=host))
            await fetcher.close()
            assert caught.value.status == 400
            assert server.met == 0

    asyncio.run(refused())


@pytest.mark.parametrize("host", INNER)
def test_inner_addresses_are_refused(host: str) -> None:
    assert _refusal(f"http://{host}/latest/meta-data/", Names(**NAMES)).status == 400


@pytest.mark.parametrize("url", MISSHAPEN, ids=lambda url: repr(url[:40]))
def test_what_is_no_url_of_a_picture_is_refused_before_a_name_is_asked_for(url: str) -> None:
    names = Names(good_test=["127.0.0.1"])
    error = _refusal(url, names)
    assert error.status in (400, 413, 422)
    assert names.asked == []
    assert "127.0.0.1" not in str(error) and "passwd" not in str(error)


def _refusal(url: str, names: Names) -> BadMedia:
    async def refused() -> BadMedia:
        fetcher = Fetcher(resolver=names, trust=TRUST)
        with pytest.raises(BadMedia) as caught:
            await fetcher.fetch(url)
        await fetcher.close()
        return caught.value

    return asyncio.run(refused())


def test_refusals_do_not_tell_what_is_inside() -> None:
    """An address that is closed, a name that is unknown, a name that leads inside: one sentence."""
    told = {
        str(_refusal(f"http://{host}/", Names(**NAMES)))
        for host in ("10.0.0.1", "169.254.169.254", "unknown.test", "inner.test", "[::1]")
    }
    assert len(told) == 1


@given(some.ip_addresses(v=4))
def test_however_an_address_is_written_it_is_read_as_dotted_or_not_at_all(
    address: IPv4Address,
) -> None:
    number = int(address)
    parts = address.packed
    for host in (
        str(number),
        hex(number),
        f"0{number:o}",
        ".".join(f"0{part:o}" for part in parts),
        ".".join(map(hex, parts)),
        f"{parts[0]}.{number & 0xFFFFFF}",
        f"{parts[0]}.{parts[1]}.{number & 0xFFFF}",
    ):
        with pytest.raises(BadMedia):
            read_url(f"http://{host}/", 1000)
    assert read_url(f"http://{address}/", 1000).host == str(address)


@given(some.ip_addresses(v=4))
def test_no_ipv6_address_that_carries_an_ipv4_address_is_global(address: IPv4Address) -> None:
    for carrier in ("::ffff:{}", "::{}", "64:ff9b::{}", "::ffff:0:{}"):
        url = read_url(f"http://[{carrier.format(address)}]/", 1000)
        assert not is_global(ip_address(url.host))
    number = int(address)
    assert not is_global(ip_address(f"2002:{number >> 16:x}:{number & 0xFFFF:x}::1"))


@pytest.mark.parametrize(
    "text",
    [
        *("8.8.8.8", "1.1.1.1", "93.184.216.34", "192.0.1.1", "100.63.255.255", "100.128.0.0"),
        *("172.15.255.255", "172.32.0.0", "169.253.255.255", "223.255.255.255"),
        *("2606:4700::1111", "2001:4860:4860::8888", "2a00:1450::1", "2620:0:2d0:200::7"),
    ],
)
def test_global_addresses_are_global(text: str) -> None:
    assert is_global(ip_address(text))


@given(some.text(max_size=60))
def test_any_text_is_a_good_url_or_refused(text: str) -> None:
    try:
        url = read_url(f"http://{text}", 8192)
    except BadMedia:
        return
    assert url.scheme == "http" and not url.userinfo and url.raw_host.isascii()
    assert set(url.raw_host.decode()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.:")
