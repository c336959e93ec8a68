"""Lists of what is allowed and denied, and what is neither."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from modserve.client.errors import BadInput
from modserve.client.media import Policy, Rest
from modserve.client.media.policy import Entry

WORLD, INNER, INNER_6 = ip_address("93.184.216.34"), ip_address("10.1.2.3"), ip_address("fd00::1")


@pytest.mark.parametrize(
    ("text", "place", "port"),
    [
        ("good.test", "good.test", None),
        ("GOOD.test:8443", "good.test", 8443),
        ("*.good.test", ".good.test", None),
        ("*.good.test:80", ".good.test", 80),
        ("b\u00fccher.test", "xn--bcher-kva.test", None),
        ("10.0.0.0/8", ip_network("10.0.0.0/8"), None),
        ("10.1.2.3", ip_network("10.1.2.3/32"), None),
        ("10.1.2.3:8000", ip_network("10.1.2.3/32"), 8000),
        ("10.0.0.0/8:8000", ip_network("10.0.0.0/8"), 8000),
        ("fd00::/8", ip_network("fd00::/8"), None),
        ("::1", ip_network("::1/128"), None),
        ("[::1]:8000", ip_network("::1/128"), 8000),
        ("[fd00::/8]:8000", ip_network("fd00::/8"), 8000),
    ],
)
def test_an_entry_is_a_host_or_a_network_at_one_port_or_any(
    text: str, place: object, port: int | None
) -> None:
    assert Entry.read(text) == Entry(place, port)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        *("", ":80", "*", "*.", "good.test:0", "good.test:70000", "good.test:http", "a b"),
        *("http://good.test", "good.test/a", "10.0.0.1/8", "10.0.0.0/33", "a*.test", "u@good.test"),
        *("good.test?a", "good.test#a", "good%2etest"),
    ],
)
def test_an_entry_that_is_none_is_named(text: str) -> None:
    with pytest.raises(BadInput, match="expected a host"):
        Entry.read(text)


def test_by_default_the_world_may_be_asked_at_its_ports() -> None:
    policy = Policy()
    assert policy.permits("good.test", 80, WORLD) and policy.permits("good.test", 443, WORLD)
    assert not any(policy.permits("good.test", port, WORLD) for port in (21, 22, 25, 6379, 8080))
    assert not policy.permits("good.test", 80, INNER)
    assert not policy.permits("good.test", 80, WORLD, own=True)


def test_a_name_on_the_allow_list_opens_a_port_and_not_the_inner_network() -> None:
    policy = Policy.of(["*.good.test:8443"])
    assert policy.permits("a.good.test", 8443, WORLD)
    assert not policy.permits("good.test", 8443, WORLD)
    assert not policy.permits("bad-good.test", 8443, WORLD)
    assert not policy.permits("a.good.test", 8443, INNER)


def test_a_network_on_the_allow_list_opens_itself() -> None:
    policy = Policy.of(["10.0.0.0/8", "[fd00::/8]:8000"])
    assert policy.permits("any.test", 80, INNER)
    assert policy.permits("any.test", 80, INNER, own=True)
    assert not policy.permits("any.test", 8000, INNER)
    assert policy.permits("any.test", 8000, INNER_6)
    assert not policy.permits("any.test", 80, INNER_6)
    assert not policy.permits("any.test", 80, ip_address("192.168.0.1"))


@pytest.mark.parametrize("denied", ["bad.test", "*.test", "93.184.0.0/16", "bad.test:80"])
def test_deny_comes_before_allow(denied: str) -> None:
    policy = Policy.of(["bad.test", "93.184.216.34"], [denied])
    assert not policy.permits("bad.test", 80, WORLD)


def test_where_the_rest_is_nothing_only_what_is_listed_may_be_asked() -> None:
    policy = Policy.of(["good.test", "10.0.0.0/8"], rest=Rest.NOTHING)
    assert policy.permits("good.test", 443, WORLD)
    assert policy.permits("any.test", 443, INNER)
    assert not policy.permits("any.test", 443, WORLD)
    assert not policy.permits("good.test", 443, INNER_6)
