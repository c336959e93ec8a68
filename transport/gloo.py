"""Tensors between processes over torch.distributed: gloo on the CPU, NCCL between GPUs.

    consumer                          controller relays                           owner
    fetch:  Want(link 7, id, handle, bytes) ──────────────────────────────────────>
            <────────────────────────────────────────── Grant(id), or Refuse(id, why)
    Meet(link 7, key, value) <── both ends' rendezvous, before a link's first transfer ──>
    the thread of link 7 receives  <═══ messages of 1 MiB, data network ═══  sends

A link serves later fetches from the same process too, in the order of their grants. It ends by
idleness, by one late message, by `lost`, or by the other end's Unlink. Everything in this file
runs on the thread of the asyncio loop; `links.py` has the other threads.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

from torch import Tensor

from .arrivals import Arrivals
from .codec import between_ports, encode
from .groups import Network, network_for
from .links import OWNER, Link, LinkKey, call_soon, other_end
from .messages import BetweenPorts, Grant, Meet, Refuse, TensorHandle, Unlink, Want
from .offers import Offers
from .parts import check_device, check_fits, empty_like_part
from .rendezvous import ControlStore
from .switchboard import Switchboard
from .tensors import Deadline, HandleGone, PeerLost, PortStats, SizeMismatch
from .transfers import Failure, Landing, Sending

log = logging.getLogger(__name__)


class GlooPort:
    """A TensorPort. Made inside the running loop in which it lives.

    `send(peer, body)` hands a word to the control channel: in order per peer, lost if it died.
    `stall_s` is the patience for one message, for an answer, and for a rendezvous.
    `link_failed(peer, epoch, reason)` is called when a link was lost and nothing of it is left.
    """

    def __init__(
        self,
        name: str,
        send: Callable[[str, bytes], None],
        *,
        host: str = "127.0.0.1",
        device: str = "cpu",
        message_bytes: int = 1 << 20,
        stall_s: float = 2.0,
        idle_s: float = 60.0,
        max_links: int = 64,
        lease_s: float = 30.0,
        checksum: bool = False,
        network: Network | None = None,  # in place of the one for `device` and `host`
        link_failed: Callable[[str, int, str], None] = lambda peer, epoch, reason: None,
        epoch: int | None = None,  # of the process, where it was drawn before the port was made
    ) -> None:
        self.name = name
        self.epoch = secrets.randbits(63) if epoch is None else epoch
        self._send = send
        self._link_failed = link_failed
        self._message_bytes = message_bytes
        self._stall_s = stall_s
        self._checksum = checksum
        self._loop = asyncio.get_running_loop()
        self._network = network or network_for(device, host, stall_s)
        self._offers = Offers(name, self.epoch, lease_s, time.monotonic)
        self._links = Switchboard(
            self._plug, self._leave, max_links=max_links, idle_s=idle_s, clock=time.monotonic
        )
        self._arrivals = Arrivals(self._late, self._links.idle, stall_s=stall_s)
        self._sent_bytes = 0
        self._failed_links = 0
        self._closed = False
        self._sweep_s = min(1.0, idle_s / 4, lease_s / 4)
        self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)

    def offer(self, tensors: Sequence[Tensor]) -> TensorHandle:
        check_device(tensors, self._network.device)
        return self._offers.add([tensor.detach().contiguous() for tensor in tensors])

    async def fetch(
        self,
        handle: TensorHandle,
        into: Sequence[Tensor] | None = None,
        deadline_s: float = 30.0,
    ) -> list[Tensor]:
        if into is not None:
            check_fits(handle, into)
            check_device(into, self._network.device)
        if handle.owner == self.name:
            return self._own(handle, into)
        device = self._network.device
        targets = list(into or (empty_like_part(part, device) for part in handle.parts))
        await self._pull(handle, targets, deadline_s, lent=into is not None)
        return targets

    def release(self, handle: TensorHandle) -> None:
        if handle.epoch == self.epoch:
            self._offers.remove(handle.id)

    def renew(self, handles: Iterable[int] | None = None) -> None:
        self._offers.renew(handles)

    def receive(self, peer: str, body: bytes) -> None:
        word = between_ports(body)
        if word.target != self.epoch and not isinstance(word, Want):
            return  # for the process that had this name before
        match word:
            case Want():
                self._answer(peer, word)
            case Grant():
                self._arrivals.grant(word)
            case Refuse():
                self._arrivals.refuse(word)
            case Meet() | Unlink():
                self._on_link(peer, word)
        self._links.close_peer(peer, f"{peer} was restarted", epoch=None, keep=word.source)

    def lost(self, peer: str, epoch: int | None) -> None:
        self._links.close_peer(peer, "membership has lost it", epoch=epoch, keep=None)

    async def close(self) -> None:
        """Ends every link; no thread is left after at most `stall_s`."""
        self._closed = True
        self._sweeping.cancel()
        self._offers.clear()
        self._links.close_all("this port was closed")
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stall_s + 1):
                await self._links.all_ended()

    def stats(self) -> PortStats:
        return PortStats(
            offers=len(self._offers),
            offered_bytes=self._offers.bytes,
            links=self._links.open,
            threads=self._links.threads,
            quarantined_bytes=self._arrivals.quarantined_bytes,
            sent_bytes=self._sent_bytes,
            received_bytes=self._arrivals.received_bytes,
            failed_links=self._failed_links,
        )

    # The consumer's side.

    def _own(self, handle: TensorHandle, into: Sequence[Tensor] | None) -> list[Tensor]:
        if handle.epoch != self.epoch:
            raise HandleGone(f"expected epoch {self.epoch} of {self.name}, got {handle.epoch}")
        tensors = self._offers.find(handle.id)
        if into is None:
            return list(tensors)
        for target, tensor in zip(into, tensors, strict=True):
            target.copy_(tensor.view(target.shape))
        return list(into)

    async def _pull(
        self, handle: TensorHandle, targets: list[Tensor], deadline_s: float, *, lent: bool
    ) -> None:
        landing: Landing | None = None
        failure: Failure | None = None
        try:
            async with asyncio.timeout(deadline_s):
                while failure is None and (landing is None or not landing.granted):
                    landing = await self._ask(handle, targets)
                    failure = await landing.outcome()
        except TimeoutError:
            bytes = sum(part.bytes for part in handle.parts)
            text = f"expected {bytes} bytes from {handle.owner} within {deadline_s} s, got fewer"
            failure = Failure(Deadline, text)
        except asyncio.CancelledError:
            if landing is not None:
                await self._arrivals.freed(landing, lent=lent)
            raise
        if failure is not None:
            freed = landing is None or await self._arrivals.freed(landing, lent=lent)
            raise failure.kind(failure.text, quarantined=not freed)

    async def _ask(self, handle: TensorHandle, targets: list[Tensor]) -> Landing:
        if self._closed:
            raise PeerLost(f"expected an open port to fetch from {handle.owner}, got a closed one")
        link = await self._links.to_owner(handle.owner, handle.epoch)
        landing = Landing(link, targets, self._message_bytes)
        self._arrivals.expect(landing)
        want = Want(
            source=self.epoch,
            target=handle.epoch,
            link=link.number,
            id=landing.id,
            handle=handle.id,
            bytes=tuple(part.bytes for part in handle.parts),
            message_bytes=self._message_bytes,
        )
        self._say(handle.owner, want)
        return landing

    # The owner's side.

    def _answer(self, peer: str, want: Want) -> None:
        key = LinkKey(OWNER, peer, want.source)
        known = self._links.find(key, want.link)
        if known is not None and want.id <= known.wanted:
            return  # it came twice, and is being answered
        to = {"source": self.epoch, "target": want.source, "link": want.link}
        try:
            tensors = self._wanted(want)
        except HandleGone as error:
            return self._say(peer, Refuse(**to, id=want.id, reason="gone", detail=str(error)))
        except SizeMismatch as error:
            return self._say(peer, Refuse(**to, id=want.id, reason="size", detail=str(error)))
        link = self._links.to_consumer(key, want.link)
        if link is None:
            return self._say(peer, Unlink(**to, rank=OWNER, reason="closed before"))
        word = Grant(**to, id=want.id, checked=self._checksum, before=link.granted)
        link.granted += 1
        link.wanted = want.id
        self._say(peer, word)
        link.push(
            Sending(
                tensors,
                want.message_bytes,
                self._checksum,
                lambda sent: call_soon(self._loop, self._sent, link, sent),
            )
        )

    def _wanted(self, want: Want) -> list[Tensor]:
        if want.target != self.epoch:
            raise HandleGone(f"expected epoch {self.epoch} of {self.name}, got {want.target}")
        tensors = self._offers.find(want.handle)
        offered = tuple(tensor.nbytes for tensor in tensors)
        if offered != want.bytes:
            raise SizeMismatch(f"expected parts of {want.bytes} bytes, got {offered}")
        return tensors

    def _sent(self, link: Link, sent: int) -> None:
        self._sent_bytes += sent
        self._links.idle(link)

    # Links.

    def _on_link(self, peer: str, word: Meet | Unlink) -> None:
        link = self._links.find(LinkKey(other_end(word.rank), peer, word.source), word.link)
        if link is None:
            return  # left by this end before
        if isinstance(word, Meet):
            link.store.hear(word.key, word.value)
        else:
            self._arrivals.ask_again(link)
            self._links.close(link, f"it left the link: {word.reason}")

    def _plug(self, key: LinkKey, number: int) -> Link:
        def meet(name: str, value: bytes) -> None:
            word = Meet(self.epoch, key.epoch, number, key.rank, name, value)
            call_soon(self._loop, self._say, key.peer, word)

        return Link(
            key,
            number,
            network=self._network,
            store=ControlStore(meet, self._stall_s),
            stall_s=self._stall_s,
            ended=lambda link, reason: call_soon(self._loop, self._ended, link, reason),
        )

    def _late(self, link: Link, reason: str) -> None:
        if self._links.find(link.key, link.number):
            link.failed = True
            self._links.close(link, reason)

    def _leave(self, link: Link, reason: str) -> None:
        """A link is being closed by this end."""
        self._arrivals.fail(link, reason)
        key = link.key
        self._say(key.peer, Unlink(self.epoch, key.epoch, link.number, key.rank, reason))

    def _ended(self, link: Link, reason: str) -> None:
        """Its thread is back: closed by this end before, or failed."""
        link.join()
        if self._links.ended(link):
            link.failed = True
            self._leave(link, reason)
        self._arrivals.link_ended(link, reason)
        if link.failed:
            log.warning("link %s with %s failed: %s", link.number, link.key.peer, reason)
            self._failed_links += 1
            self._link_failed(link.key.peer, link.key.epoch, reason)

    def _say(self, peer: str, word: BetweenPorts) -> None:
        self._send(peer, encode(word))

    def _sweep(self) -> None:
        self._offers.expire()
        self._links.close_idle()
        self._sweeping = self._loop.call_later(self._sweep_s, self._sweep)
