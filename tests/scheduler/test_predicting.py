"""The predicted time to a first token against what replicas would need."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.ledger import ledger
from modserve.scheduler.predicting import Ahead, first_token
from modserve.scheduler.replica import Replica, Speed
from modserve.scheduler.stage import ROLES


def replica(
    role: str, name: str = "", *, images: int = 0, tokens: int = 0, slow: float = 1.0
) -> Replica:
    made = Replica(name or role, 1, ROLES[role], ledger(100, 100, 100), heard=0.0)
    made.speed = Speed(image_token_s=0.001 * slow, prompt_token_s=0.0005 * slow)
    made.pending_image_tokens, made.pending_tokens = images, tokens
    return made


def total_s(images: list[int], tokens: int, ahead: Ahead, *replicas: Replica) -> float:
    found = first_token(images, tokens, ahead, replicas)
    assert found is not None
    return found.total_s


def parts(images: list[int], tokens: int, *replicas: Replica) -> tuple[float, float, float]:
    found = first_token(images, tokens, Ahead(), replicas)
    assert found is not None
    return found.encode_s, found.queue_s, found.prefill_s


def test_a_text_waits_for_what_is_prefilled_before_it() -> None:
    text = replica("text", tokens=1000)
    assert parts([], 200, text) == pytest.approx((0.0, 0.5, 0.1))


def test_the_emptiest_replica_decides_but_all_share_what_waits() -> None:
    idle, busy = replica("text", "a"), replica("text", "b", tokens=4000)
    assert total_s([], 200, Ahead(), idle, busy) == pytest.approx(0.1)
    assert total_s([], 200, Ahead(prompt_tokens=4000), idle, busy) == pytest.approx(1.0 + 0.1)


def test_images_are_spread_and_the_last_one_decides() -> None:
    encoders = [replica("encode", "a", images=500), replica("encode", "b")]
    text = replica("text")
    assert total_s([1000], 0, Ahead(), *encoders, text) == pytest.approx(1.0)
    assert total_s([1000, 1000], 0, Ahead(), *encoders, text) == pytest.approx(1.5)
    assert total_s([100] * 3, 0, Ahead(), *encoders, text) == pytest.approx(0.3)


def test_a_slow_encoder_is_passed_over_where_a_fast_one_is_done_before() -> None:
    slow, fast = replica("encode", "a", slow=10.0), replica("encode", "b", images=2000)
    assert total_s([1000], 0, Ahead(), slow, fast, replica("text")) == pytest.approx(3.0)


def test_waiting_for_text_goes_on_while_images_are_encoded() -> None:
    found = parts([1000], 100, replica("encode"), replica("text", tokens=1600))
    assert found == pytest.approx((1.0, 0.0, 0.05))


def test_nothing_is_predicted_without_a_replica_or_its_speed() -> None:
    unknown = replica("text")
    unknown.speed = Speed()
    leaving = replica("text")
    leaving.draining = True
    assert first_token([], 1, Ahead(), []) is None
    assert first_token([], 1, Ahead(), [unknown, leaving]) is None
    assert first_token([5], 1, Ahead(), [replica("text")]) is None


@given(
    st.lists(st.integers(1, 5000), max_size=6),
    st.integers(0, 5000),
    st.lists(st.tuples(st.integers(0, 9000), st.integers(0, 9000)), min_size=1, max_size=5),
    st.integers(0, 9000),
)
def test_more_in_front_never_makes_it_sooner(
    images: list[int], tokens: int, pending: list[tuple[int, int]], more: int
) -> None:
    replicas = [
        replica("all", f"{i}", images=image, tokens=text) for i, (image, text) in enumerate(pending)
    ]
    before = total_s(images, tokens, Ahead(), *replicas)
    assert total_s(images, tokens, Ahead(more, more), *replicas) >= before - 1e-9
    assert total_s([*images, 100], tokens + 100, Ahead(), *replicas) >= before - 1e-9
