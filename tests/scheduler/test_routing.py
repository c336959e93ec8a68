"""Where work would be done first, among replicas that are not alike."""

from __future__ import annotations

from random import Random

import pytest

from modserve.scheduler import events as on
from modserve.scheduler.commands import Encode, Prefill
from modserve.scheduler.core import Core
from modserve.scheduler.ledger import ledger
from modserve.scheduler.media import MediaItem
from modserve.scheduler.replica import Replica, Speed
from modserve.scheduler.replicas import Replicas
from modserve.scheduler.request import Request
from modserve.scheduler.routing import image_tokens, pace, seconds_of
from modserve.scheduler.stage import ROLES, Stage
from modserve.scheduler.terms import Terms

from .test_core import Hands

TERMS = Terms(block_size=4, row_bytes=1, staging_row_bytes=1)


def hands(routing: str = "finish", **speeds: Speed) -> Hands:
    """Workers by their names: the role before the underscore."""
    core = Hands(Core(TERMS, routing=routing))
    for name, speed in speeds.items():
        role = name.partition("_")[0]
        core(on.Joined(name, 1, ROLES[role], 10_000, 10**6, 10**6), on.Heard(name, speed))
    return core


def text(name: str, tokens: int) -> Request:
    return Request(name, tokens, 4, deadline=100.0)


def went(core: Hands, *tokens: int) -> list[str]:
    """The replicas that prompts of so many tokens go to, one after another."""
    made = len(core.core.requests)
    commands = core(*(on.Arrived(text(f"r{made + i}", one)) for i, one in enumerate(tokens)))
    return [one.replica for one in commands if isinstance(one, Prefill)]


def test_a_fast_replica_is_given_as_much_more_as_it_is_faster() -> None:
    core = hands(text_a=Speed(0, 0.004), text_b=Speed(0, 0.001))
    assert went(core, *[100] * 10).count("text_b") == 8


def test_by_the_policy_pending_all_are_given_the_same() -> None:
    core = hands("pending", text_a=Speed(0, 0.004), text_b=Speed(0, 0.001))
    assert went(core, *[100] * 10).count("text_b") == 5


def test_where_nobody_told_a_speed_the_least_pending_decides() -> None:
    core = hands(text_a=Speed(), text_b=Speed())
    assert went(core, 100, 10, 10, 10) == ["text_a", "text_b", "text_b", "text_b"]


def test_who_has_not_told_is_tried_as_if_it_were_the_fastest() -> None:
    core = hands(text_a=Speed(0, 0.004), text_b=Speed(0, 0.001), text_c=Speed())
    assert went(core, *[100] * 4) == ["text_b", "text_c", "text_b", "text_c"]


def test_noise_in_what_is_measured_changes_no_place() -> None:
    core = hands(text_a=Speed(0, 0.001), text_b=Speed(0, 0.0013))
    assert went(core, 100, 100) == ["text_a", "text_b"]
    core(on.Heard("text_a", Speed(0, 0.0013)), on.Heard("text_b", Speed(0, 0.001)))
    assert went(core, 100, 100) == ["text_a", "text_b"]
    core(on.Heard("text_a", Speed(0, 0.008)))
    assert went(core, 100, 100) == ["text_b", "text_b"]


def test_who_is_alike_is_in_one_class_on_whichever_side_of_its_border() -> None:
    border = 2 ** (-9.75)
    core = hands(text_a=Speed(0, 1.01 * border), text_b=Speed(0, 0.99 * border))
    assert went(core, 100, 100) == ["text_a", "text_b"]


def test_replicas_are_compared_by_rows_where_they_tell_them() -> None:
    """Not by what they predict with: that of a busy one is half of an idle one's."""
    core = hands(text_a=Speed(0, 3e-4, 0.05, 1e-4), text_b=Speed(0, 1e-4, 0.05, 1e-4))
    assert went(core, 100, 100) == ["text_a", "text_b"]


def test_decodes_go_where_kv_is_read_fastest_however_long_steps_take_now() -> None:
    core = hands(prefill_p=Speed(0, 1e-4), decode_a=Speed(0, 0, 0.04), decode_b=Speed(0, 0, 0.01))
    core(on.Heard("decode_b", Speed(0, 0, 0.3)))
    went(core, *[40] * 10)
    booked = {one.name: len(one.bound) for one in core.core.replicas.values()}
    assert (booked["decode_a"], booked["decode_b"]) == (2, 8)


def test_images_are_spread_so_that_the_last_is_done_early() -> None:
    """The long one has a worker of its own, though it comes last."""
    core = hands(encode_a=Speed(0.001), encode_b=Speed(0.001), text_t=Speed(0, 0.001))
    media = [
        MediaItem(key, 1, work) for key, work in zip("wxyz", (100, 100, 100, 300), strict=True)
    ]
    commands = core(on.Arrived(Request("r", 9, 4, deadline=100.0, media=media)))
    placed = {one.key: one.replica for one in commands if isinstance(one, Encode)}
    assert [one.index for one in commands if isinstance(one, Encode)] == [0, 1, 2, 3]
    assert placed["z"] not in {placed["w"], placed["x"], placed["y"]}


def test_an_image_waits_for_a_fast_encoder_rather_than_take_a_slow_one() -> None:
    core = hands(encode_a=Speed(0.01), encode_b=Speed(0.001), text_t=Speed(0, 0.001))
    media = [MediaItem(key, 1, 100) for key in "wxyz"]
    commands = core(on.Arrived(Request("r", 9, 4, deadline=100.0, media=media)))
    assert {one.replica for one in commands if isinstance(one, Encode)} == {"encode_b"}


@pytest.mark.parametrize("seed", range(20))
def test_the_first_to_be_done_is_found(seed: int) -> None:
    """As a look at every one of them would find it, by the classes of their speeds."""
    dice, paces = Random(seed), dict[str, int | None]()
    replicas = Replicas()
    for number in range(dice.choice([2, 5, 60])):
        name = f"r{number}"
        replicas[name] = Replica(name, 1, ROLES["encode"], ledger(9, 9, 9), heard=0.0)
        paces[name] = None
    speeds = [dice.choice([0.0, 0.001, 0.0013, 0.004, 0.1]) for _ in range(dice.choice([1, 3]))]
    for _ in range(80):
        one = dice.choice(list(replicas.values()))
        one.pending_image_tokens = dice.randrange(2000)
        replicas.note(one)
        if dice.random() < 0.3 and one.tell(Speed(image_token_s=dice.choice(speeds))):
            replicas.follow(one)
            there = {its for its in paces.values() if its is not None}
            paces[one.name] = pace(one.speed.image_token_s, paces[one.name], there)
        if dice.random() < 0.05 and len(replicas) > 1:
            paces.pop(replicas.remove(one.name).name)
        replicas.check()
        usual = min((its for its in paces.values() if its is not None), default=0)
        work, banned = dice.randrange(1000), dice.choice([*replicas, ""])

        def done(it: Replica) -> tuple[float, tuple[float, int], str]:
            its = paces[it.name]
            unit_s = seconds_of(usual if its is None else its)  # noqa: B023
            return (it.pending_image_tokens + work) * unit_s, image_tokens(it), it.name  # noqa: B023

        able = [it for it in replicas.values() if it.name != banned]
        found = replicas.first(Stage.ENCODE, lambda it: it.name != banned, work=work)  # noqa: B023
        assert found is min(able, key=done, default=None)


def test_of_idle_encoders_that_decode_the_one_with_fewest_requests_is_chosen() -> None:
    core = hands(all_a=Speed(), all_b=Speed())
    assert went(core, 50) == ["all_a"]
    picture = Request("picture", 60, 4, deadline=100.0, media=[MediaItem("sky", 40, 40)])
    commands = core(on.Arrived(picture))
    assert [one.replica for one in commands if isinstance(one, Encode)] == ["all_b"]
