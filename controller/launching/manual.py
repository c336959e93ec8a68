"""The launcher that starts nothing: it tells a person what to type."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...transport.channels import is_loopback
from .invitation import Invitation
from .launcher import Advised, Order, WorkerEnded


class Manual:
    kind = "manual"

    def __init__(self, invite: Callable[[], Invitation]) -> None:
        self._invite = invite

    async def launch(self, order: Order) -> Advised:
        """The line to type on whichever host the worker is to run."""
        invitation = self._invite()
        stages = ",".join(sorted(order.stages)) if "+" in order.role else order.role
        line = f"msctl add-worker --stage {stages} --controller {invitation.controller}"
        if invitation.keys is not None:
            line += f" --keys {invitation.keys}"
        if not is_loopback(invitation.controller):
            line += " --data-host HOST"
        return Advised(order.name, line)

    async def stop(self, name: str) -> None:
        """Nothing was started."""

    def ended(self) -> Sequence[WorkerEnded]:
        return ()

    async def close(self) -> None:
        """Nothing was started."""
