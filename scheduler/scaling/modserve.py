"""Our policy: forecast, head room for bursts, up fast and down late, and switching of roles.

A pool grows when what it needs (`needing.py`) is more than what serves or starts, for `up_s`. It
shrinks to the most that it needed within a longer window, checked as if the leaving ones were gone
(`leaving.py`); the window doubles when a replica is wanted back soon after it left. A pool that
starves takes a replica of one that idles where that is faster than a launch, or where no launch is
possible (`giving.py`); how often is bounded (`turns.py`). Where GPUs are short, the pool with the
worst predicted lateness is served first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import ceil, inf

from .decisions import Decision, Grow, Shrink, Switch
from .giving import Giving, View, missing, starving
from .leaving import remaining
from .limits import Limits, Means
from .loads import PoolLoad
from .memory import Memory
from .needing import Need, misses, need_of
from .reaching import Target, abandoned, grown, shrunk
from .room import Room
from .tuning import Tuning
from .turns import Turns


class ModServe:
    def __init__(self, tuning: Tuning | None = None) -> None:
        self.tuning = tuning or Tuning()
        self._memories: dict[str, Memory] = {}
        self._turns = Turns(self.tuning)
        self._next_s = -inf

    def decide(self, pools: Sequence[PoolLoad], limits: Limits, now: float) -> list[Decision]:
        if now < self._next_s:
            return []
        self._next_s = now + self.tuning.period_s
        views = {pool.name: self._view(pool, limits, now) for pool in pools}
        room = Room(pools, limits)
        giving = Giving(views, room, self._turns, self.tuning.margin, self.tuning.gain, now)
        decisions = abandoned(pools, now)
        for view in starving(views, room, now):
            decisions += self._feed(view, giving)
        gave = {one.source for one in decisions if isinstance(one, Switch)}
        gave |= {one.pool for one in decisions if isinstance(one, Shrink)}
        for view in views.values():
            if view.load.name not in gave:
                decisions += self._let_go(view, room, now)
        self._remember(decisions, now)
        return decisions

    def _view(self, pool: PoolLoad, limits: Limits, now: float) -> View:
        memory = self._memories.get(pool.name)
        if memory is None:
            memory = self._memories[pool.name] = Memory(self.tuning)
        need = self._need(pool, memory, now)
        memory.needed(now, need.replicas, pool.cold_start_s)
        lasting = memory.least(now, self.tuning.up_s) if pool.coming(now) else need.replicas
        recent = replace(need, replicas=memory.most(now, self.tuning.spare_s))
        most = pool.serving + max(self.tuning.starting, pool.serving)
        wanted = limits.of(pool.name).clip(ceil(min(most, lasting - 1e-9)))
        return View(pool, need, recent, wanted)

    def _need(self, pool: PoolLoad, memory: Memory, now: float) -> Need:
        """One replica more than the numbers say while the SLO is missed; another one when that
        serves and the window of the attainment is past the misses before it. Those before one
        left say nothing of how it is without it."""
        need, coming = need_of(pool, self.tuning, now), pool.coming(now)
        if pool.short is None or not misses(pool, self.tuning) or need.replicas > coming:
            return need
        changed_s = max(memory.grew_s + pool.cold_start_s, memory.left_s)
        if now < changed_s + pool.short.window_s:
            return need
        reason = (
            f"{pool.short.share:.1%} of {pool.short.requests} requests of {pool.name} met their "
            f"SLO within {pool.short.window_s:.0f} s, less than {self.tuning.attainment:.0%}: one "
            f"more than {coming}"
        )
        return replace(need, replicas=coming + 1.0, reason=reason)

    def _feed(self, view: View, giving: Giving) -> list[Decision]:
        """A pool that lacks replicas: switched, launched, or room made for a launch."""
        pool, room, now = view.load, giving.room, giving.now
        launches = Means.LAUNCH in room.limits.means and room.to_grow(pool.name) > 0
        launches = launches and pool.may_launch(now)
        fed: list[Decision] = []
        if pool.switch_s < (pool.cold_start_s if launches else inf):
            fed += self._switched(view, giving, desperate=not launches)
        fed += grown(pool, Target(view.wanted, view.need.reason), room, now)
        if not fed and not room.fits(pool.name):
            fed += self._freed(view, giving)
        return fed

    def _switched(self, view: View, giving: Giving, desperate: bool) -> list[Decision]:
        """From the idlest pools, as long as something is missing and they have something to
        spare; where nothing can be launched, also from one that has less trouble."""
        room, target = giving.room, view.load.name
        if Means.SWITCH not in room.limits.means:
            return []
        switches: list[Decision] = []
        for source in giving.givers(target):
            count = 0
            while missing(view, room, giving.now) > 0 and giving.may(source, target, desperate):
                room.switch(source, target)
                count += 1
            if count:
                self._turns.record(source, target, giving.now)
                switches.append(Switch(source, target, count, giving.reason(source, target)))
        return switches

    def _freed(self, view: View, giving: Giving) -> list[Decision]:
        """GPUs of a pool that idles, for a launch once they are free; one replica at a time."""
        if Means.LAUNCH not in giving.room.limits.means:
            return []
        if any(other.load.draining for other in giving.views.values()):
            return []
        target = view.load.name
        source = next((name for name in giving.givers(target) if giving.frees(name, target)), None)
        if source is None:
            return []
        self._turns.record(source, target, giving.now)
        giving.room.shrink(source, 1)
        return [Shrink(source, 1, giving.reason(source, target))]

    def _let_go(self, view: View, room: Room, now: float) -> list[Decision]:
        pool, memory = view.load, self._memories[view.load.name]
        limits = room.limits.of(pool.name)
        if limits.most is not None and pool.serving > limits.most:
            reason = f"{pool.name} may have {limits.most} replicas at most, got {pool.serving}"
            return shrunk(pool, Target(limits.most, reason), room, now)
        if now < memory.grew_s + pool.cold_start_s + memory.down_s:
            return []  # one that came just now was wanted: what is needed beside it is to be seen
        most = memory.most(now, memory.down_s)
        count = remaining(pool, view.need, most, limits.least, self.tuning)
        if count >= pool.serving:
            return []
        reason = (
            f"{pool.name} needed {most:.2f} replicas at most within {memory.down_s:.0f} s: "
            f"{count} of {pool.serving} suffice"
        )
        return shrunk(pool, Target(count, reason), room, now)

    def _remember(self, decisions: Sequence[Decision], now: float) -> None:
        for one in decisions:
            match one:
                case Grow(pool, _, _):
                    self._memories[pool].grew(now)
                case Shrink(pool, _, _):
                    self._memories[pool].left(now)
                case Switch(source, target, _, _):
                    self._memories[source].left(now)
                    self._memories[target].grew(now)
