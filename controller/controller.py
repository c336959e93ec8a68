"""The asyncio half: messages in, events to the core, its commands out; and the passing of time."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import deque
from collections.abc import Callable
from pathlib import Path

import zmq

from ..scheduler import events as on
from ..scheduler.core import Core
from ..scheduler.model import ModelFacts
from ..scheduler.terms import Terms
from ..transport import codec
from ..transport import messages as say
from ..transport.channels import Router
from ..transport.checkpoint import fingerprint
from ..transport.security import Gate
from .attaining import Attaining
from .clients import Clients, Session
from .crew import Crew, Standing
from .drafting import Drafting
from .floor import Floor
from .front import Front
from .hands import Hands
from .journal import Journal
from .launching.choice import make
from .launching.invitation import Invitation, keys_of_workers
from .launching.launcher import Launcher
from .launching.launches import Launches
from .office import Office
from .options import ControllerOptions
from .returning import Returning
from .scaling import Scaling
from .staffing import Staffing
from .switching import Switching

log = logging.getLogger(__name__)

TICK_S = 0.1
PING_S = 0.3
HELD_UP_S = 1.0  # by which a tick may be late
STOP_S = 10.0  # how long workers may take to leave at a shutdown
FRAME_MARGIN = 2**20  # a message may be a little larger than an image file


class Controller:
    """Bound when it is made; `run` serves until `close` was called and all workers have left."""

    def __init__(
        self, options: ControllerOptions, launcher: Callable[[], Launcher] | None = None
    ) -> None:
        """Reads the model folder (BadCheckpoint) and the keys (BadKeys), and binds (BadAddress);
        needs a running loop. `launcher` makes one in place of that of the options."""
        print_of_model = fingerprint(options.model, "any", options.parts.block_size)
        self._drafting = Drafting(options.model, print_of_model, options.limits, options.slo)
        biggest = max(options.limits.max_image_bytes, options.limits.max_prompt_bytes * 4)
        self._worker_keys = keys_of_workers(options.keys, options.launching.launcher)
        self._gate = Gate(options.keys) if options.keys is not None else None
        self._router = Router(
            options.endpoint,
            self._hear,
            max_frame_bytes=biggest + FRAME_MARGIN,
            queue=options.limits.queue,
            gate=self._gate,
        )
        # Workers may still talk of what a controller before us, which was killed, had numbered.
        life = secrets.randbits(30) << 32
        core = Core(
            terms_for(self._drafting.facts, options, dtype_bytes=4),
            options.bind,
            runs=life,
            admission=options.admission,
            routing=options.routing,
            classes=options.slo,
        )
        self._office = Office(
            options=options,
            fingerprint=print_of_model,
            token="",
            core=core,
            router=self._router,
            clients=Clients(self._router, life),
            crew=Crew(),
            pump=self._pump,
            journal=Journal(None, print_of_model),
            attaining=Attaining(options.slo),
        )
        self._returning = Returning(self._office, self._drafting)
        takes_images = self._drafting.facts.image_token_id is not None
        switching = Switching(self._office, takes_images=takes_images)
        self._floor = Floor(self._office, self._reckon, self._returning, switching)
        self._hands = Hands(self._office, self._floor, switching)
        self._staffing = Staffing(self._office, self._floor, self._returning.reserved)
        self._launches = Launches(
            launcher()
            if launcher
            else make(options.launching, self._invite, self._office.crew.gpus),
            options.launching,
            self._staffing.hear,
        )
        self._staffing.launches = self._launches
        cross_attention = self._drafting.facts.cross_layers > 0
        self._scaling = Scaling(
            self._office, self._staffing, switching, cross_attention=cross_attention
        )
        self._front = Front(
            self._office,
            self._floor,
            self._drafting,
            self._returning,
            switching,
            self._staffing,
            self.close,
        )
        self._events: deque[on.Event] = deque()
        self._pumping = False
        self._drain = False
        self._closed = asyncio.Event()

    def _reckon(self, dtype_bytes: int) -> None:
        """The first worker that is ready settles the dtype, and with it what a row takes."""
        self._office.core.reckon(
            terms_for(self._drafting.facts, self._office.options, dtype_bytes=dtype_bytes)
        )

    def _invite(self) -> Invitation:
        """For a worker that is launched."""
        data_host = self._office.options.launching.data_host or "127.0.0.1"
        return Invitation(self.endpoint, self._office.token, self._worker_keys, data_host)

    @property
    def endpoint(self) -> str:
        return self._router.endpoint

    def trust(self, token: str) -> None:
        """Who shows this may add and remove workers and stop the controller; call before `run`."""
        self._office.token = token

    def remember(self, folder: Path) -> None:
        """Keep a journal there, and go on with what is in it; call before `run`."""
        office = self._office
        strict = office.options.strict_journal
        office.journal = Journal(folder, office.fingerprint, strict=strict)
        self._returning.restore(office.journal.open())

    def close(self, drain: bool = False, keep: bool = False) -> None:
        """Admit nothing more and end; with `drain` after the open requests have ended, with `keep`
        ending none. The last word counts: a second one without `drain` cuts the draining short."""
        self._office.closing = True
        self._drain, self._office.keeping = drain, keep
        self._closed.set()
        self._office.fewer.set()

    async def run(self) -> None:
        self._scaling.begin()
        async with asyncio.TaskGroup() as group:
            clock = group.create_task(self._watch())
            await self._closed.wait()
            await self._finish()
            clock.cancel()

    async def _watch(self) -> None:
        """Deadlines, silent workers and vanished clients; the only timer."""
        loop = asyncio.get_running_loop()
        next_ping = loop.time()
        while True:
            expected = loop.time() + TICK_S
            await asyncio.sleep(TICK_S)
            if loop.time() - expected > HELD_UP_S:
                self._excuse()
            self._pump(on.Ticked())
            self._returning.tick()
            self._scaling.tick()
            self._launches.tick({member.name for member in self._office.crew})
            self._office.journal.tick()
            if self._gate is not None:
                self._gate.refresh()
            if loop.time() >= next_ping:
                next_ping = loop.time() + PING_S
                self._ping()

    def _excuse(self) -> None:
        """We were held up: the silence was ours, and what the workers said lies unread."""
        for member in self._office.crew:
            if member.standing is not Standing.LOADING:
                self._pump(on.Heard(member.name))
        for session in self._office.clients:
            session.heard = self._office.now()

    def _ping(self) -> None:
        ping = codec.encode(say.Ping())
        self._floor.tell_all(self._office.crew, say.Ping())
        for session in self._office.clients:
            self._look_after(session, ping)

    def _look_after(self, session: Session, ping: bytes) -> None:
        """A client that vanished, or stopped reading for too long, loses its requests."""
        now, limit = self._office.now(), self._office.options.limits.stalled_s
        self._office.clients.catch_up(session)
        if not session.open and not session.backlog:
            self._office.clients.end(session)  # it gets another with its next request
            return
        if not session.backlog:
            self._office.clients.send(session, ping)
            self._office.clients.catch_up(session)  # whether it is gone shows by sending
        reason = "the client is gone" if session.gone else ""
        if session.stalled is not None and now - session.stalled > limit:
            reason = f"the client read nothing for {limit:g} s"
        silence = self._office.options.limits.silent_s
        if now - session.heard > silence:
            reason = f"the client answered no ping for {silence:g} s"
        if reason:
            if session.gone:  # it may be there again, and ask anew: it is not to hear this
                self._office.clients.end(session)
            for request_id in list(session.open):
                self._front.cancel(request_id, reason)
            self._office.clients.end(session)

    async def _finish(self) -> None:
        office = self._office
        await office.until(lambda: not (self._drain and (office.tickets or office.preparing)))
        if not office.keeping:
            self._launches.cease()
            await self._dissolve()
            await self._launches.close()
        office.journal.close()
        office.clients.flush()
        self._floor.flush()
        self._front.close()
        self._router.close()

    async def _dissolve(self) -> None:
        """End every request, and send everybody home."""
        office = self._office
        for request_id in [*office.tickets, *office.preparing]:
            self._front.cancel(request_id, "the controller was stopped")
        for member in office.crew:
            self._floor.tell(member, say.Stop())
        try:
            async with asyncio.timeout(STOP_S):
                await office.until(lambda: not len(office.crew))
        except TimeoutError:
            names = ", ".join(member.name for member in office.crew)
            log.warning("%s did not leave within %g s", names, STOP_S)

    def _pump(self, event: on.Event) -> None:
        """Feed the core; what carrying out its commands leads to waits its turn."""
        self._events.append(event)
        if self._pumping:
            return
        self._pumping = True
        try:
            while self._events:
                for command in self._office.core.handle(self._events.popleft(), self._office.now()):
                    self._hands.carry_out(command)
        finally:
            self._pumping = False

    def _hear(self, identity: bytes, frames: list[zmq.Frame]) -> None:
        """One message from anybody. What does not decode is refused and harms nobody."""
        if not frames or self._office.keeping:
            return
        try:
            word = codec.to_controller(frames[0].buffer)
        except codec.BadFrame as error:
            log.warning("refused a message: %s", error)
            self._router.send(identity, codec.encode(say.Denied(-1, f"not understood: {error}")))
            return
        member = self._office.crew.at(identity)
        if isinstance(word, say.Hello):
            self._floor.hello(identity, word)
        elif isinstance(word, say.FromClient) and not (member and isinstance(word, say.Pong)):
            self._front.hear(identity, word, [memoryview(frame.buffer) for frame in frames[1:]])
        elif member is not None:
            self._floor.hear(member, word, [frame.bytes for frame in frames[1:]])
        else:
            self._router.send(identity, codec.encode(say.Unknown()))


def terms_for(facts: ModelFacts, options: ControllerOptions, *, dtype_bytes: int) -> Terms:
    """What the core books by, for a model computed in a dtype of that many bytes."""
    row = facts.embedding_bytes_per_row(dtype_bytes)
    return Terms(
        block_size=options.parts.block_size,
        row_bytes=row,
        staging_row_bytes=row + facts.cross_bytes_per_row(dtype_bytes),
        cache_bytes=options.parts.image_cache_bytes,
        prefix_cache=options.parts.prefix_bytes != 0,
        cross_attention=facts.cross_layers > 0,
        late_s=options.late_s,
        lost_s=options.lost_s,
        max_open=options.limits.max_open,
        max_waiting_tokens=options.limits.max_waiting_tokens,
    )
