"""Who may ask, and how much at a time: the limits of each key, kept by its name."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from .errors import Problem
from .keys import ApiKey, ApiKeys

SCHEME = "bearer"
OPEN_RETRY_S = 1.0  # nobody knows when one of one's own requests ends
ANYBODY = ApiKey(name="anybody", sha256="0" * 64)


@dataclass(slots=True)
class Account:
    """What a holder has under way, and has left of this minute's requests."""

    open: int = 0
    left: float = 0.0
    looked: float = 0.0


class Access:
    """Without keys everybody may ask, as much as the controller takes."""

    def __init__(self, keys: ApiKeys | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._clock = keys, clock
        self._accounts: dict[str, Account] = {}

    def holder(self, headers: Mapping[str, str]) -> ApiKey:
        """Raises Problem: 401."""
        if self._keys is None:
            return ANYBODY
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() != SCHEME or not secret.strip():
            sentence = "expected an API key in the header Authorization: Bearer, got none"
            raise Problem(401, sentence, code="invalid_api_key")
        key = self._keys.holder(secret.strip())
        if key is None:
            raise Problem(401, "expected a known API key, got another", code="invalid_api_key")
        return key

    @contextmanager
    def admitted(self, key: ApiKey) -> Iterator[None]:
        """While one request of `key` is under way; raises Problem: 429."""
        account = self._accounts.setdefault(key.name, Account(left=float("inf")))
        if key.concurrent is not None and account.open >= key.concurrent:
            sentence = f"expected at most {key.concurrent} requests at a time with this key"
            raise Problem(429, sentence, code="rate_limit_exceeded", retry_after_s=OPEN_RETRY_S)
        self._spend(key, account)
        account.open += 1
        try:
            yield
        finally:
            account.open -= 1

    def _spend(self, key: ApiKey, account: Account) -> None:
        """A minute's requests may come at once; then they come back one by one."""
        most = key.requests_per_minute
        if most is None:
            return
        now = self._clock()
        back = (now - account.looked) * most / 60
        account.left, account.looked = min(float(most), account.left + back), now
        if account.left < 1:
            wait_s = (1 - account.left) * 60 / most
            sentence = f"expected at most {most} requests a minute with this key"
            raise Problem(429, sentence, code="rate_limit_exceeded", retry_after_s=wait_s)
        account.left -= 1
