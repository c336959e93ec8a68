"""Two-rank process groups made without a world: `torch.distributed` is never initialised here.

The constructors are those that `torch.distributed.new_group` itself calls. Groups are made, used
and let go on one thread, their link's.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache
from typing import Any, Protocol, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import Store, Work


class Group(Protocol):
    """The part of torch's Backend that a link uses. Errors are RuntimeErrors."""

    def send(self, tensors: list[Tensor], rank: int, tag: int) -> Work: ...
    def recv(self, tensors: list[Tensor], rank: int, tag: int) -> Work: ...
    def abort(self) -> None: ...


class Network(Protocol):
    """Makes groups; a group whose transfer failed is given back as `broken`."""

    device: torch.device

    def connect(self, store: Store, rank: int) -> Group: ...
    def dispose(self, group: Group, broken: bool) -> None: ...


def network_for(device: str, host: str, stall_s: float) -> Network:
    where = torch.device(device)
    if where.type == "cuda":
        return Nccl(torch.device("cuda", where.index or 0), stall_s)
    return Gloo(host, stall_s)


class Gloo:
    def __init__(self, host: str, stall_s: float) -> None:
        self.device = torch.device("cpu")
        self._gloo = _gloo_device(host)
        self._timeout = timedelta(seconds=stall_s)

    def connect(self, store: Store, rank: int) -> Group:
        gloo: Any = dist.ProcessGroupGloo  # whose stubs name its options otherwise
        options = gloo._Options()
        options._timeout = self._timeout
        options._threads = 1  # only collectives use them
        options._devices = [self._gloo]
        return cast(Group, gloo(store, rank, 2, options))

    def dispose(self, group: Group, broken: bool) -> None:
        """Nothing to do: a wait that timed out has already closed the pair and failed whatever
        was pending on it, and the descriptor goes with the last reference to the group."""


class Nccl:
    """Never run: the place where this was written has no two CUDA devices.

    Tensors are read and written on the device's default stream, so what an engine enqueued there
    before it offered a tensor comes before the transfer.
    """

    def __init__(self, device: torch.device, stall_s: float) -> None:
        self.device = device
        self._timeout = timedelta(seconds=stall_s)
        # A failed transfer must end its link, never the process.
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")
        os.environ.setdefault("TORCH_NCCL_ENABLE_MONITORING", "0")

    def connect(self, store: Store, rank: int) -> Group:
        torch.cuda.set_device(self.device)
        options = dist.ProcessGroupNCCL.Options()
        options._timeout = self._timeout
        return cast(Group, dist.ProcessGroupNCCL(store, rank, 2, options))

    def dispose(self, group: Group, broken: bool) -> None:
        if broken:
            group.abort()


@cache
def _gloo_device(host: str) -> object:
    """One per process and address: it has the listening socket and the thread that moves bytes."""
    return dist.ProcessGroupGloo.create_device(hostname=host)
