"""One batch, cut among threads that compute apart, instead of all threads in every operation.

Threads that meet after every operation all go as slowly as the one whose core somebody else wants;
apart, each gets done what its core leaves. Alone on the cores both ways take the same time.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Thread, current_thread

import torch
from torch import Tensor

LEAST_ROWS = 2  # for each thread: fewer are divided too unevenly


class Apart:
    """The threads yield as the one that calls does: another caller gets others."""

    def __init__(self) -> None:
        self._pool: ThreadPoolExecutor | None = None
        self._made_for: tuple[Thread | None, int] = (None, 0)  # caller, threads

    def run(self, function: Callable[[Tensor], Tensor], rows: Tensor) -> Tensor:
        """`function(rows)`, whose result must have a row for each; on a CPU in as many parts as
        torch has threads."""
        threads = torch.get_num_threads()
        if rows.device.type != "cpu" or not 1 < threads <= len(rows) // LEAST_ROWS:
            return function(rows)

        def compute(part: Tensor) -> Tensor:
            with torch.inference_mode():  # as everything else, this is known to one thread only
                return function(part)

        torch.set_num_threads(1)  # also for the libraries that know one number for all threads
        try:
            parts = self._threads(threads).map(compute, rows.tensor_split(threads))
            return torch.cat(list(parts))
        finally:
            torch.set_num_threads(threads)

    def _threads(self, count: int) -> ThreadPoolExecutor:
        made_for = current_thread(), count  # an ident may be that of a caller which has ended
        if self._pool is None or self._made_for != made_for:
            if self._pool is not None:
                self._pool.shutdown(wait=False)
            self._pool = ThreadPoolExecutor(
                count, "apart", initializer=torch.set_num_threads, initargs=(1,)
            )
            self._made_for = made_for
        return self._pool
