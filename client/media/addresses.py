"""Which addresses are somebody's on the internet, and which lead inside.

`ipaddress.is_global` differs between Python's releases, and calls global what embeds an inner IPv4
address (6to4, NAT64, Teredo) or is multicast. So the networks stand here, as IANA's registries
of special-purpose addresses have them, with some that clouds answer on from inside alone; for IPv6
only what is given out at all (2000::/3) can be global. What `is_global` refuses is refused, too.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_GIVEN_OUT = IPv6Network("2000::/3")
_INNER: tuple[Network, ...] = tuple(
    map(
        ip_network,
        (
            "0.0.0.0/8",  # this host
            "10.0.0.0/8",
            "100.64.0.0/10",  # between carriers and customers; Alibaba's metadata
            "127.0.0.0/8",
            "168.63.129.16/32",  # Azure's host, from each of its machines
            "169.254.0.0/16",  # link-local; metadata services
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocols; Oracle's metadata
            "192.0.2.0/24",  # documentation
            "192.31.196.0/24",  # AS112
            "192.52.193.0/24",  # AMT
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "192.175.48.0/24",  # AS112
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/4",  # multicast
            "240.0.0.0/4",  # reserved, broadcast
            "2001::/23",  # Teredo, ORCHID and other protocols
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation
        ),
    )
)


def address_of(text: str) -> Address | None:
    """An address as it is written canonically; octal, hexadecimal and short forms are none."""
    try:
        return ip_address(text)
    except ValueError:
        return None


def is_global(address: Address) -> bool:
    if isinstance(address, IPv6Address) and (
        address not in _GIVEN_OUT or address.scope_id is not None
    ):
        return False
    return address.is_global and not any(address in network for network in _INNER)
