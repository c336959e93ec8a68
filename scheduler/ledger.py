"""What each replica has promised, and to whom: KV blocks, embedding bytes, staging bytes.

The core sends work only where the room that it needs is booked here first. Bookings are refused
above the capacity; growth of a running decode is not, since the worker has already taken the
block (its own limit is a check, and it preempts), so `booked` may pass `capacity` for a moment.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(slots=True)
class Account:
    """One kind of room on one replica; every amount has an owner."""

    capacity: int
    booked: int = 0
    owners: dict[str, int] = field(default_factory=dict)

    @property
    def free(self) -> int:
        return self.capacity - self.booked

    def book(self, owner: str, amount: int) -> None:
        """Take `amount` for `owner`, who must hold nothing here; raises ValueError otherwise."""
        if owner in self.owners or amount > self.free:
            held = self.owners.get(owner, 0)
            raise ValueError(f"expected room of {amount} for {owner}, free {self.free}, has {held}")
        self.owners[owner] = amount
        self.booked += amount

    def grow(self, owner: str, amount: int) -> None:
        """`owner` now holds `amount`, as its worker says; never less than before."""
        held = self.owners[owner]
        if amount > held:
            self.owners[owner] = amount
            self.booked += amount - held

    def release(self, owner: str) -> None:
        """Give back all that `owner` holds here, which may be nothing."""
        self.booked -= self.owners.pop(owner, 0)


@dataclass(slots=True)
class Ledger:
    """The three accounts of a replica. A stage that a replica lacks has capacity 0."""

    kv_blocks: Account  # text stages; owned by requests
    store_bytes: Account  # encode stage: embeddings on offer; owned by content keys
    staging_bytes: Account  # text stages: embeddings that were pulled; owned by requests

    def accounts(self) -> Iterator[Account]:
        yield from (self.kv_blocks, self.store_bytes, self.staging_bytes)

    def check(self) -> None:
        """Raise AssertionError where a sum differs from its recount."""
        for account in self.accounts():
            assert account.booked == sum(account.owners.values()), account
            assert all(amount >= 0 for amount in account.owners.values()), account


def ledger(kv_blocks: int, store_bytes: int, staging_bytes: int) -> Ledger:
    return Ledger(Account(kv_blocks), Account(store_bytes), Account(staging_bytes))
