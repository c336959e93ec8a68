"""Which replicas may encode the images of a request.

By `spread` each goes to where it is done first. By `inline` all of them go to one replica, which
prefills the request as well: so does a server that knows no stages. Where no replica could do both
they are spread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .binding import Need, takes_empty
from .replica import Replica
from .replicas import Fits, Replicas
from .stage import Stage

Placing = Callable[[Need, int, Replicas], Fits | None]


def spread(need: Need, size: int, replicas: Replicas) -> Fits | None:
    return None


def inline(need: Need, size: int, replicas: Replicas) -> Fits | None:
    """Those that could encode images of `size` bytes and prefill the request, of which one is
    chosen for all of them; None: nobody could."""

    def able(one: Replica) -> bool:
        return size <= one.ledger.store_bytes.capacity and takes_empty(one, need, Stage.PREFILL)

    return able if any(able(one) for one in replicas.having(Stage.ENCODE)) else None


PLACINGS: Mapping[str, Placing] = {"spread": spread, "inline": inline}
