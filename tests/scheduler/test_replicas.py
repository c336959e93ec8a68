"""Routing among many finds what a look at every one of them would find."""

from __future__ import annotations

from random import Random

import pytest

from modserve.scheduler.ledger import ledger
from modserve.scheduler.replica import Replica
from modserve.scheduler.replicas import Replicas, room
from modserve.scheduler.routing import prompt_tokens
from modserve.scheduler.stage import ROLES, Stage

BLOCKS = 20


def some(dice: Random, count: int) -> Replicas:
    replicas = Replicas()
    for number in range(count):
        role = ROLES[dice.choice(["prefill", "decode", "text", "encode"])]
        replicas[f"r{number}"] = Replica(f"r{number}", 1, role, ledger(BLOCKS, 9, 9), heard=0.0)
    return replicas


@pytest.mark.parametrize("seed", range(20))
def test_the_least_load_with_room_is_found(seed: int) -> None:
    """However many of them are full."""
    dice = Random(seed)
    replicas = some(dice, dice.choice([1, 5, 60]))
    full = dice.choice([0.0, 0.5, 0.95])
    for step in range(60):
        one = dice.choice(list(replicas.values()))
        one.ledger.kv_blocks.release("owner")
        booked = BLOCKS if dice.random() < full else dice.randrange(BLOCKS)
        one.ledger.kv_blocks.book("owner", booked)
        one.pending_tokens = dice.randrange(10)
        replicas.note(one)
        if step % 20 == 7 and len(replicas) > 1:
            replicas.remove(one.name)
        replicas.check()
        blocks = dice.randint(1, BLOCKS)
        able = [
            one for one in replicas.values() if Stage.PREFILL in one.stages and room(one) >= blocks
        ]
        expected = min(able, key=lambda one: (prompt_tokens(one), one.name), default=None)
        found = replicas.least(Stage.PREFILL, blocks, lambda one: room(one) >= blocks)  # noqa: B023
        assert found is expected


def test_one_that_is_gone_is_not_found() -> None:
    replicas = Replicas()
    gone = Replica("a", 1, ROLES["text"], ledger(BLOCKS, 0, 0), heard=0.0)
    replicas["a"] = gone
    del replicas["a"]
    replicas.note(gone)
    assert replicas.first(Stage.DECODE, lambda one: True) is None
