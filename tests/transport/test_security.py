"""Keys in files, and sockets that let in whose keys they know."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from modserve.transport.channels import Dealer, Router, Sent
from modserve.transport.security import BadKeys, Gate, PeerKeys, make

from .waiting import until

FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_AUTH
    | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
    | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
    | zmq.EVENT_DISCONNECTED
)


def test_keys_are_made_for_a_name_and_are_its_owners_alone(tmp_path: Path) -> None:
    alice, bob = (PeerKeys.read(make(tmp_path / "keys", name)) for name in ("alice", "bob"))
    assert alice.controller == bob.controller == Gate(tmp_path / "keys").pair.public
    assert len({alice.public, bob.public, alice.secret, bob.secret}) == 4
    for file in (tmp_path / "keys").glob("*.json"):
        assert file.stat().st_mode & 0o077 == 0
    assert alice.secret not in repr(alice)


@pytest.mark.parametrize("name", ["", "a/b", "..", "controller", "alice", "-x", "a" * 65])
def test_a_name_that_is_taken_or_none_is_refused(tmp_path: Path, name: str) -> None:
    make(tmp_path, "alice")
    with pytest.raises(BadKeys, match=r"expected a (new )?name"):
        make(tmp_path, name)


def test_a_file_that_holds_no_keys_is_refused_without_quoting_it(tmp_path: Path) -> None:
    file = make(tmp_path, "alice")
    keys = PeerKeys.read(file)
    for body in (b"", b"{", b"\xff", b'"%s"' % keys.secret.encode(), b'{"secret": 1}'):
        file.write_bytes(body)
        with pytest.raises(BadKeys, match="expected keys as msctl keygen makes them") as error:
            PeerKeys.read(file)
        assert keys.secret not in str(error.value)
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(keys, secret="short")))
    with pytest.raises(BadKeys, match="expected keys as msctl keygen makes them"):
        PeerKeys.read(file)
    file.unlink()
    with pytest.raises(BadKeys, match="cannot read keys"):
        PeerKeys.read(file)


def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = make(tmp_path, "alice")
    file.chmod(0o640)
    with pytest.raises(BadKeys, match="its owner's alone"):
        PeerKeys.read(file)


class House:
    """A router behind a gate that answers every word."""

    def __init__(self, folder: Path) -> None:
        self.gate = Gate(folder)
        self.heard: list[bytes] = []
        self.identities: list[bytes] = []
        self.router = Router(
            "tcp://127.0.0.1:0", self._hear, max_frame_bytes=1 << 20, gate=self.gate
        )
        self._dealers: list[Dealer] = []

    def _hear(self, identity: bytes, frames: list[zmq.Frame]) -> None:
        self.heard.append(frames[0].bytes)
        self.identities.append(identity)
        self.router.send(identity, b"yes")

    def dealer(self, keys: PeerKeys | None) -> tuple[Dealer, list[bytes]]:
        answers: list[bytes] = []
        dealer = Dealer(
            self.router.endpoint, lambda frames: answers.append(frames[0].bytes), keys=keys
        )
        self._dealers.append(dealer)
        return dealer, answers

    async def speaks(self, keys: PeerKeys) -> None:
        dealer, answers = self.dealer(keys)
        dealer.send(b"I do")
        await until(lambda: bool(answers))

    def close(self) -> None:
        for dealer in self._dealers:
            dealer.close(0)
        self.router.close(0)


@asynccontextmanager
async def house(folder: Path) -> AsyncIterator[House]:
    one = House(folder)
    try:
        yield one
    finally:
        one.close()


def test_an_allowed_key_is_heard_also_one_that_was_made_later(tmp_path: Path) -> None:
    async def run() -> None:
        first = make(tmp_path, "alice")
        async with house(tmp_path) as one:
            await one.speaks(PeerKeys.read(first))
            await one.speaks(PeerKeys.read(make(tmp_path, "bob")))

    asyncio.run(run())


def _none(folder: Path, keys: PeerKeys) -> PeerKeys | None:
    return None


def _unknown(folder: Path, keys: PeerKeys) -> PeerKeys | None:
    stranger = PeerKeys.read(make(folder / "elsewhere", "eve"))
    return msgspec.structs.replace(stranger, controller=keys.controller)


def _stolen_name(folder: Path, keys: PeerKeys) -> PeerKeys | None:
    """Somebody's public key, without the secret that belongs to it."""
    stranger = PeerKeys.read(make(folder / "elsewhere", "eve"))
    return msgspec.structs.replace(keys, secret=stranger.secret)


def _another_controller(folder: Path, keys: PeerKeys) -> PeerKeys | None:
    stranger = PeerKeys.read(make(folder / "elsewhere", "eve"))
    return msgspec.structs.replace(keys, controller=stranger.controller)


def _removed(folder: Path, keys: PeerKeys) -> PeerKeys | None:
    (folder / "allowed" / "eve").unlink()
    return PeerKeys.read(folder / "eve.json")


WRONG = (_none, _unknown, _stolen_name, _another_controller, _removed)


@pytest.mark.parametrize("wrong", WRONG, ids=[one.__name__ for one in WRONG])
def test_who_has_no_allowed_key_says_nothing_and_hears_nothing(
    tmp_path: Path, wrong: Callable[[Path, PeerKeys], PeerKeys | None]
) -> None:
    async def run() -> None:
        alice = PeerKeys.read(make(tmp_path, "alice"))
        make(tmp_path, "eve")
        async with house(tmp_path) as one:
            dealer, answers = one.dealer(wrong(tmp_path, alice))
            monitor = dealer.socket.get_monitor_socket(FAILED)
            dealer.send(b"let me in")
            await until(lambda: bool(monitor.poll(0)))
            assert recv_monitor_message(monitor)["event"] & FAILED
            await one.speaks(alice)
            assert one.heard == [b"I do"]
            assert answers == []
            dealer.socket.disable_monitor()

    asyncio.run(run())


def test_who_is_shut_out_while_connected_is_neither_heard_nor_told(tmp_path: Path) -> None:
    async def run() -> None:
        alice, bob = (PeerKeys.read(make(tmp_path, name)) for name in ("alice", "bob"))
        async with house(tmp_path) as one:
            dealer, answers = one.dealer(alice)
            dealer.send(b"before")
            await until(lambda: bool(answers))
            (tmp_path / "allowed" / "alice").unlink()
            one.gate.refresh()
            assert one.router.send(one.identities[0], b"news") is Sent.GONE
            dealer.send(b"after")
            await one.speaks(bob)
            assert one.heard == [b"before", b"I do"]
            assert answers == [b"yes"]

    asyncio.run(run())


def test_a_key_that_is_replaced_in_place_counts_at_once(tmp_path: Path) -> None:
    old, new = (PeerKeys.read(make(tmp_path, name)) for name in ("alice", "new"))
    gate = Gate(tmp_path)
    (tmp_path / "allowed" / "new").unlink()
    (tmp_path / "allowed" / "alice").write_text(new.public)
    gate.refresh()
    assert gate.allows(new.public.encode())
    assert not gate.allows(old.public.encode())
