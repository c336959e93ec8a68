"""The predicted time to a first token against what replicas would need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.ledger import ledger
from modserve.scheduler.predicting import Ahead, FirstToken, first_token
from modserve.scheduler.replica import Replica, Speed
from modserve.scheduler.stage import ROLES, Stage

NOTHING = Ahead()


def replica(
    role: str, name: str = "", *, images: int = 0, tokens: int = 0, slow: float = 1.0
) -> Replica:
    made = Replica(name or role, 1, ROLES[role], ledger(100, 100, 100), heard=0.0)
    made.speed = Speed(image_token_s=0.001 * slow, prompt_token_s=0.0005 * slow)
    made.pending_image_tokens, made.pending_tokens = images, tokens
    return made


def found(
    images: list[int],
    tokens: int,
    *replicas: Replica,
    ahead: Ahead = NOTHING,
    transfer_s: float = 0,
) -> FirstToken | None:
    encoders = [one for one in replicas if Stage.ENCODE in one.stages]
    texts = [one for one in replicas if Stage.PREFILL in one.stages]
    return first_token(images, tokens, ahead, encoders, texts, transfer_s)


def total_s(images: list[int], tokens: int, ahead: Ahead, *replicas: Replica) -> float:
    made = found(images, tokens, *replicas, ahead=ahead)
    assert made is not None
    return made.total_s


def parts(
    images: list[int], tokens: int, *replicas: Replica, ahead: Ahead = NOTHING
) -> tuple[float, float, float]:
    made = found(images, tokens, *replicas, ahead=ahead)
    assert made is not None
    return made.encode_s, made.queue_s, made.prefill_s


def test_a_text_waits_for_what_goes_first() -> None:
    text = replica("text", tokens=1000)
    assert parts([], 200, text, ahead=Ahead(prompt_s=0.4)) == pytest.approx((0.0, 0.4, 0.1))
    assert parts([], 200, text, ahead=Ahead(prompt_s=9.0)) == pytest.approx((0.0, 0.5, 0.1))


def test_the_emptiest_replica_decides_unless_some_wait_for_room() -> None:
    idle, busy = replica("text", "a"), replica("text", "b", tokens=4000)
    assert total_s([], 200, Ahead(prompt_s=1.0), idle, busy) == pytest.approx(0.1)
    assert total_s([], 200, Ahead(prompt_s=1.0, unbound=True), idle, busy) == pytest.approx(1.1)


def test_a_fast_replica_that_is_busy_may_be_done_before_an_idle_slow_one() -> None:
    slow, fast = replica("text", "a", slow=10.0), replica("text", "b", tokens=400)
    ahead = Ahead(prompt_s=0.2)
    assert parts([], 200, slow, fast, ahead=ahead) == pytest.approx((0.0, 0.2, 0.1))
    fast.pending_tokens = 4000
    assert parts([], 200, slow, fast, ahead=Ahead(prompt_s=2.0)) == pytest.approx((0, 0, 1.0))


def test_images_are_spread_and_the_last_one_decides() -> None:
    encoders = [replica("encode", "a", images=500), replica("encode", "b")]
    text = replica("text")
    assert total_s([1000], 0, NOTHING, *encoders, text) == pytest.approx(1.0)
    assert total_s([1000, 1000], 0, NOTHING, *encoders, text) == pytest.approx(1.5)
    assert total_s([100] * 3, 0, NOTHING, *encoders, text) == pytest.approx(0.3)
    assert total_s([100] * 3, 0, Ahead(image_s=2.0), *encoders, text) == pytest.approx(2.3)


def test_a_slow_encoder_is_passed_over_where_a_fast_one_is_done_before() -> None:
    slow, fast = replica("encode", "a", slow=10.0), replica("encode", "b", images=2000)
    assert total_s([1000], 0, NOTHING, slow, fast, replica("text")) == pytest.approx(3.0)


def test_waiting_for_text_goes_on_while_images_are_encoded() -> None:
    text, ahead = replica("text", tokens=1600), Ahead(prompt_s=0.8)
    assert parts([1000], 100, replica("encode"), text, ahead=ahead) == pytest.approx((1.0, 0, 0.05))
    ahead = Ahead(prompt_s=5.0, unbound=True)
    assert parts([1000], 100, replica("encode"), text, ahead=ahead) == pytest.approx((1, 4, 0.05))


def test_an_image_that_another_request_has_encoded_is_waited_for() -> None:
    assert total_s([], 100, Ahead(shared_s=0.7), replica("text")) == pytest.approx(0.75)


def test_what_nothing_in_front_would_change_is_told() -> None:
    encode, text = replica("encode", images=5000), replica("text", tokens=5000)
    made = found([1000], 100, encode, text, ahead=Ahead(prompt_s=9.0), transfer_s=0.25)
    assert made is not None
    assert made.total_s == pytest.approx(6.0 + 0.25 + 0.05)
    assert made.alone_s == pytest.approx(1.0 + 0.25 + 0.05)


def test_nothing_is_predicted_without_a_replica_or_its_speed() -> None:
    unknown = replica("text")
    unknown.speed = Speed()
    assert found([], 1) is None
    assert found([], 1, unknown) is None
    assert found([5], 1, replica("text")) is None


@given(
    st.lists(st.integers(1, 5000), max_size=6),
    st.integers(0, 5000),
    st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)), min_size=1, max_size=5),
    st.floats(0, 9),
)
def test_more_in_front_never_makes_it_sooner(
    images: list[int], tokens: int, pending: list[tuple[int, int]], more_s: float
) -> None:
    replicas = [
        replica("all", f"{i}", images=image, tokens=text) for i, (image, text) in enumerate(pending)
    ]
    before = total_s(images, tokens, NOTHING, *replicas)
    assert total_s(images, tokens, Ahead(more_s, 0, more_s), *replicas) >= before - 1e-9
    assert total_s([*images, 100], tokens + 100, NOTHING, *replicas) >= before - 1e-9
