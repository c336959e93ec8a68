"""What a scaling policy is told of a pool: the replicas that have the same set of stages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf

LATE = 3.0  # times its cold start, after which a launch is no longer hoped for
LEAST_LATE_S = 30.0
MOST_BACKOFF_S = 300.0  # between launches, however many failed


@dataclass(frozen=True, slots=True)
class Traffic:
    """Tokens that arrived per second, in buckets of one length, oldest first."""

    ended_s: float
    bucket_s: float
    tokens_per_s: tuple[float, ...] = ()

    def last(self, seconds: float) -> Traffic:
        """Without what is older."""
        return replace(self, tokens_per_s=self.tokens_per_s[-self._buckets(seconds) :])

    def over(self, seconds: float) -> float:
        """The mean of the last so many seconds, or of what there is of them."""
        last = self.tokens_per_s[-self._buckets(seconds) :]
        return sum(last) / len(last) if last else 0.0

    def windows(self, seconds: float) -> list[float]:
        """Means of windows of so many seconds, the last one ending now; none is cut short."""
        size, rates = self._buckets(seconds), self.tokens_per_s
        starts = range(len(rates) % size, len(rates), size)
        return [sum(rates[start : start + size]) / size for start in starts]

    def _buckets(self, seconds: float) -> int:
        return max(1, round(seconds / self.bucket_s))


@dataclass(frozen=True, slots=True)
class Attainment:
    """The share of the requests that ended within the last `window_s` and met their SLO."""

    share: float
    requests: int
    window_s: float

    def below(self, threshold: float, least_requests: int = 1) -> bool:
        return self.requests >= least_requests and self.share < threshold


@dataclass(frozen=True, slots=True)
class PoolLoad:
    """Tokens are those of the pool's measure (`gathering.py`), also in backlog and capacity.

    A replica that is being switched counts as starting in the pool that it goes to, and in none
    of the other numbers.
    """

    name: str
    traffic: Traffic
    backlog: float  # tokens that wait for the pool
    capacity: float  # tokens/s that one replica sustains within its SLO; 0: not known
    serving: int
    starting: tuple[float, ...] = ()  # when each was launched
    draining: int = 0
    busy: float | None = None  # share of the serving replicas' time; None: not known
    short: Attainment | None = None  # over the short window; None: not known
    long: Attainment | None = None
    cold_start_s: float = 60.0  # from a launch to the first token
    switch_s: float = inf  # until a replica of another pool serves in this one
    failures: int = 0  # launches that failed since the last one that did not
    failed_s: float = -inf  # when the last of them did

    def overdue(self, now: float) -> int:
        """Launches that should have arrived long ago: no capacity to come."""
        patience_s = max(LEAST_LATE_S, LATE * self.cold_start_s)
        return sum(now - launched > patience_s for launched in self.starting)

    def coming(self, now: float) -> int:
        """Replicas that serve now, or will soon."""
        return self.serving + len(self.starting) - self.overdue(now)

    def may_launch(self, now: float) -> bool:
        """Whether the last failed launch is long enough ago; twice as long after each."""
        if not self.failures:
            return True
        backoff_s = self.cold_start_s * 2.0 ** min(self.failures - 1, 16)
        return now >= self.failed_s + min(MOST_BACKOFF_S, backoff_s)
