"""Peers that say anything, in any order, as often as they like: others do not notice."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec
import pytest
import zmq

from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.channels import Dealer

from .scripted import PICTURE, Scene, Worker, controller, conversation, handle

WORDS = 300


class Rogue:
    """Hears nothing, says what it is told."""

    def __init__(self, endpoint: str) -> None:
        self.dealer = Dealer(endpoint, lambda frames: None)

    def say(self, *frames: bytes) -> None:
        self.dealer.send(*frames)


def client_words(dice: random.Random) -> list[tuple[bytes, ...]]:
    """Of a client: replayed, reordered, about its own requests and others', with wrong files."""
    name = dice.choice(("a", "b", "honest", "", "x" * 500))
    turn = say.Turn(dice.choice(("user", "a b")), (say.TextPart("Hello"), say.ImagePart(0)))
    sampling = say.Sampling(
        max_tokens=dice.choice((-1, 0, 1, 9)), temperature=dice.choice((0.0, float("nan"), -1.0))
    )
    words: list[say.ToController] = [
        say.Greet(dice.choice((say.PROTOCOL, 99))),
        say.Submit(name, sampling, (turn,), emitted=(1,) * dice.randrange(3)),
        say.Submit(name, say.Sampling(max_tokens=4), token_ids=(1, 2, dice.choice((3, 10**6)))),
        say.Cancel(name),
        say.AskStatus(dice.randrange(3)),
        say.AskTrace(dice.randrange(3), dice.choice(("", "a", "?" * 9999))),
        say.AskEvents(dice.randrange(3), dice.choice((-1, 0, 9)), dice.choice((0.0, 1e30))),
        say.Remove(1, "guess", "text-0"),
        say.Scale(1, "guess", {"text": 0}),
        say.Shutdown(1, "guess"),
        say.Pong(),
    ]
    files = dice.choice(((), (PICTURE,), (b"", PICTURE), (PICTURE[:50],)))
    return [(codec.encode(dice.choice(words)), *files)]


def worker_words(dice: random.Random) -> list[tuple[bytes, ...]]:
    """Of a worker that nobody seated."""
    number, name = dice.randrange(3), dice.choice(("honest", "a"))
    words: list[say.ToController] = [
        say.Beat(),
        say.Ready("", "float32", 9, 9, 9),
        say.Stepped((say.Row(name, number, 1, True, "stop"),), (number,)),
        say.EncodeDone("key", number, handle("text-0")),
        say.KvTaken(name, number, handle("text-0"), last=True),
        say.RunError(name, number, "no", fault=True),
        say.GaveUp(name, number),
        say.Relay("text-0", b"\x00"),
        say.Bye(),
        say.Leave(),
    ]
    return [(codec.encode(dice.choice(words)), b"frame")]


def noise(dice: random.Random) -> list[tuple[bytes, ...]]:
    """Bytes, and words with bytes changed."""
    (word, *files) = dice.choice((client_words, worker_words))(dice)[0]
    body = bytearray(word)
    for _ in range(dice.randrange(1, 4)):
        body[dice.randrange(len(body))] = dice.randrange(256)
    return [dice.choice(((bytes(body), *files), (dice.randbytes(40),), (b"",)))]


SORTS: dict[str, Callable[[random.Random], list[tuple[bytes, ...]]]] = {
    "clients": client_words,
    "workers": worker_words,
    "noise": noise,
}


async def honest(scene: Scene, worker: Worker, number: int) -> None:
    """A request of somebody else goes through from beginning to end."""
    client, name = scene.client(), f"honest {number}"
    client.submit(name, max_tokens=4)
    count = 1
    while (task := await worker.hear(say.Prefill, count)).request_id != name:
        count += 1
    worker.step(task, 1)
    worker.step(task, 2, finish="stop")
    assert (await client.hear(say.Ended)).usage.completion_tokens == 2


@pytest.mark.parametrize("sort", SORTS)
@conversation
async def test_strangers_disturb_nobody(sort: str, caplog: pytest.LogCaptureFixture) -> None:
    async with controller() as scene:
        worker = scene.worker("text")
        await worker.join()
        for seed in range(3):
            dice, rogues = random.Random(seed), [Rogue(scene.endpoint) for _ in range(3)]
            for _ in range(WORDS):
                for frames in SORTS[sort](dice):
                    dice.choice(rogues).say(*frames)
            await honest(scene, worker, seed)
            for rogue in rogues:
                rogue.dealer.close(0)
        client = scene.client()
        client.say(say.AskStatus(5))
        report = msgspec.json.decode((await client.hear(say.Report)).body)
        assert [one["name"] for one in report["workers"]] == ["text-0"]
    assert not [one for one in caplog.records if one.exc_info]


@conversation
async def test_a_worker_that_repeats_and_mixes_up_its_words_harms_no_other() -> None:
    async with controller() as scene:
        odd, good = scene.worker("text", epoch=1), scene.worker("text", epoch=2)
        await odd.join(kv_blocks=0)  # no request fits there
        await good.join()
        dice = random.Random(0)
        for number in range(3):
            for _ in range(WORDS):
                for frames in worker_words(dice):
                    word = codec.to_controller(frames[0])
                    if not isinstance(word, say.Bye | say.Leave):
                        odd.dealer.send(*frames)
            await honest(scene, good, number)


@conversation
async def test_a_frame_over_the_limit_ends_its_connection_alone() -> None:
    async with controller() as scene:
        worker, rogue = scene.worker("text"), Rogue(scene.endpoint)
        await worker.join()
        monitor = rogue.dealer.socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        rogue.say(bytes(40 * 2**20))
        await honest(scene, worker, 0)
        assert monitor.poll(5000)
        rogue.dealer.socket.disable_monitor()
        rogue.dealer.close(0)
