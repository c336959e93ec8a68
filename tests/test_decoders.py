"""Mutated inputs into everything that decodes what strangers sent."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .decoders import TARGETS

EXAMPLES = {"words": 1500, "pictures": 400, "prompts": 300, "configs": 150, "keys": 150}


def test_every_seed_is_taken() -> None:
    for target in TARGETS.values():
        for seed in target.seeds():
            target.run(seed)


@pytest.mark.parametrize("name", TARGETS)
def test_no_bytes_do_harm(name: str) -> None:
    target = TARGETS[name]
    seeds = target.seeds()

    @settings(
        max_examples=EXAMPLES.get(name, 100),
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(st.data())
    def mutated(data: st.DataObject) -> None:
        body = bytearray(data.draw(st.sampled_from(seeds)))
        for _ in range(data.draw(st.integers(1, 4))):
            at = data.draw(st.integers(0, len(body)))
            to = data.draw(st.integers(at, min(len(body), at + 8)))
            body[at:to] = data.draw(st.binary(max_size=8))
        if data.draw(st.booleans()):
            del body[data.draw(st.integers(0, len(body))) :]
        target.run(bytes(body))

    mutated()
