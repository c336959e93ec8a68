"""How fast a queue drains is told of one that was never empty meanwhile."""

from __future__ import annotations

from modserve.scheduler.draining import Draining


def test_what_was_served_while_some_waited_all_the_time() -> None:
    draining = Draining()
    assert draining.tokens_s is None
    for tick in range(31):
        draining.see(waiting=2, served=100 * tick, now=tick / 10)
        assert (draining.tokens_s is None) == (tick < 10)
    assert draining.tokens_s == 1000.0
    draining.see(waiting=0, served=3100, now=3.1)
    assert draining.tokens_s is None
    draining.see(waiting=1, served=3200, now=3.2)
    assert draining.tokens_s is None


def test_what_is_long_ago_is_forgotten() -> None:
    draining = Draining()
    for tick in range(400):
        draining.see(waiting=1, served=max(0, tick - 200), now=tick / 10)
    assert draining.tokens_s is not None
    assert round(draining.tokens_s, 6) == 10.0
