"""What workers are told leaves together, in order; what can wait goes along."""

from __future__ import annotations

import asyncio

import pytest
import zmq

from modserve.controller.mail import MOST, Mail
from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.channels import Dealer, Router, Sent

from .scripted import DEADLINE_S, conversation


class Office:
    """A router, its mail, and one peer that keeps the messages it hears."""

    def __init__(self) -> None:
        self.heard: list[list[bytes]] = []
        self._news = asyncio.Event()
        self.lost: list[tuple[bytes, Sent]] = []
        self._identity: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.router = Router("tcp://127.0.0.1:*", self._met, max_frame_bytes=2**20)
        self.mail = Mail(self.router, lambda *told: self.lost.append(told))
        self.peer = Dealer(self.router.endpoint, self._hear)
        self.peer.send(b"here")

    def _met(self, identity: bytes, frames: list[zmq.Frame]) -> None:
        self._identity.set_result(identity)

    def _hear(self, frames: list[zmq.Frame]) -> None:
        self.heard.append([frame.bytes for frame in frames])
        self._news.set()

    async def met(self) -> bytes:
        async with asyncio.timeout(DEADLINE_S):
            return await self._identity

    async def messages(self, count: int) -> list[list[bytes]]:
        async with asyncio.timeout(DEADLINE_S):
            while len(self.heard) < count:
                self._news.clear()
                await self._news.wait()
        return self.heard

    def close(self) -> None:
        self.peer.close()
        self.router.close()


RELEASES = [say.Release(str(number), number) for number in range(5)]
WORDS = [codec.encode(word) for word in RELEASES]


@conversation
async def test_words_of_a_turn_are_one_message_and_frames_stand_behind_their_own() -> None:
    office = Office()
    identity = await office.met()
    for word in WORDS[:2]:
        office.mail.post(identity, word)
    office.mail.post(identity, WORDS[2], [b"a picture"])
    for word in WORDS[3:]:
        office.mail.post(identity, word)
    heard = await office.messages(3)
    assert [codec.to_worker(message[0]) for message in heard] == [
        (RELEASES[0], RELEASES[1]),
        (RELEASES[2],),
        (RELEASES[3], RELEASES[4]),
    ]
    assert [message[1:] for message in heard] == [[], [b"a picture"], []]
    office.close()


@conversation
async def test_what_can_wait_goes_along_with_the_next_word_in_order() -> None:
    office = Office()
    identity = await office.met()
    office.mail.enclose(identity, WORDS[0])
    office.mail.enclose(identity, WORDS[1])
    office.mail.flush()
    office.mail.post(identity, WORDS[2])
    office.mail.enclose(identity, WORDS[3])
    assert [codec.to_worker(one) for (one,) in await office.messages(1)] == [tuple(RELEASES[:4])]
    office.mail.enclose(identity, WORDS[0])
    office.mail.forget(identity)
    office.mail.post(identity, WORDS[4])
    assert codec.to_worker((await office.messages(2))[1][0]) == (RELEASES[4],)
    office.close()


@pytest.mark.parametrize("count", [MOST, MOST + 1])
@conversation
async def test_no_message_has_more_words_than_it_may(count: int) -> None:
    office = Office()
    identity = await office.met()
    for _ in range(count):
        office.mail.post(identity, WORDS[0])
    heard = await office.messages(-(-count // MOST))
    assert [len(codec.to_worker(one)) for (one,) in heard] == [MOST, count - MOST][: len(heard)]
    office.close()


@conversation
async def test_who_cannot_be_reached_is_told_once() -> None:
    office = Office()
    await office.met()
    for frames in ([], [b"a picture"], []):
        office.mail.post(b"nobody", WORDS[0], frames)
    office.mail.flush()
    assert office.lost == [(b"nobody", Sent.GONE)]
    office.close()
