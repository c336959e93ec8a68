"""What workers say, turned into events for the core; what they say to each other, passed on."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable, Sequence, Set
from functools import partial
from typing import Any

from ..scheduler import events as on
from ..scheduler.media import Embedding
from ..scheduler.replica import Speed
from ..scheduler.stage import Stage, stages_of
from ..transport import codec
from ..transport import messages as say
from ..transport.channels import Sent
from .crew import Member, Standing
from .mail import Mail
from .office import Office
from .returning import Returning
from .switching import Switching

log = logging.getLogger(__name__)


class Floor:
    def __init__(
        self,
        office: Office,
        reckon: Callable[[int], None],
        returning: Returning,
        switching: Switching,
    ) -> None:
        self._office, self._returning, self._switching = office, returning, switching
        self._mail = Mail(office.router, self._unreachable)
        self._reckon = reckon  # told the bytes of the dtype that the first worker settled on
        self._on: dict[type, Callable[[Member, Any], None]] = {
            say.Loading: self._loading,
            say.Ready: self._ready,
            say.Unable: self._unable,
            say.Beat: self._beat,
            say.EncodeDone: self._encode_done,
            say.EncodeError: self._encode_error,
            say.Landed: self._landed,
            say.PullError: self._pull_error,
            say.KvOffer: self._kv_offer,
            say.KvTaken: self._kv_taken,
            say.GaveUp: self._gave_up,
            say.RunError: self._run_error,
            say.Relay: self._relay,
            say.Leave: self._leave,
            say.Bye: self._bye,
            say.Pong: lambda member, word: None,
        }

    def hear(self, member: Member, word: say.FromWorker, frames: Sequence[bytes]) -> None:
        """One word of a worker that is known; `frames` are what came behind it."""
        member.heard = self._office.now()
        if isinstance(word, say.Stepped):
            self._stepped(member, word, frames)
        else:
            self._on[type(word)](member, word)

    # Coming and going.

    def hello(self, identity: bytes, word: say.Hello) -> None:
        """Seat a worker, or tell it in one sentence why not."""
        reason = self._refusal(word)
        if reason is not None:
            log.warning("worker %s of pid %d refused: %s", word.name or "?", word.pid, reason)
            self._mail.post(identity, codec.encode(say.Denied(-1, reason)))
            return
        crew, now = self._office.crew, self._office.now()
        known = crew.at(identity)
        stages = stages_of(list(word.stages))
        if known is not None and known.ready is None and known.hello.epoch == word.epoch:
            # it asked again before our answer came, or asks with its new stages
            known.hello, known.stages = word, stages
            self.share_threads(word.host)
            self.tell(known, self._welcome(known))
            return
        reserved = self._returning.reserved() | self._office.promised
        name = word.name or crew.free_name(stages, reserved)
        old = crew.named(name)
        if old is not None:
            self.gone(old, "it said hello again")
        member = Member(
            name, identity, word, stages, joined=now, heard=now, threads=word.threads or 1
        )
        crew.add(member)
        self.tell(member, self._welcome(member))
        self.share_threads(word.host)

    def _refusal(self, word: say.Hello) -> str | None:
        if word.protocol != say.PROTOCOL:
            return f"expected protocol {say.PROTOCOL}, got {word.protocol}"
        if not hmac.compare_digest(word.token.encode(), self._office.token.encode()):
            return "expected this controller's token, got another (see its state folder)"
        if self._office.closing and not self._switching.awaits(word):
            return "the controller is shutting down"
        try:
            stages_of(list(word.stages))
        except ValueError as error:
            return str(error)
        old = self._office.crew.named(word.name)
        if old is not None and old.hello.epoch != word.epoch and self._answers(old):
            return f"expected a free name, got {word.name}, which pid {old.hello.pid} has"
        wanted = self._office.options.parts.dtype
        if "auto" not in (word.dtype, wanted) and word.dtype != wanted:
            return f"expected dtype {wanted}, got {word.dtype}"
        return None

    def _answers(self, member: Member) -> bool:
        late = self._office.now() - member.heard > self._office.options.late_s
        sent = self._office.router.send(member.identity, codec.encode(say.Ping()))
        return sent is Sent.OK and not late

    def _welcome(self, member: Member) -> say.Welcome:
        office, parts = self._office, self._office.options.parts
        member.beside = False
        return say.Welcome(
            name=member.name,
            model=str(office.options.model),
            fingerprint=office.fingerprint,
            dtype=parts.dtype if parts.dtype != "auto" else member.hello.dtype,
            block_size=parts.block_size,
            threads=member.threads,
            beat_s=parts.beat_s,
            rejoin_s=parts.rejoin_s,
            kv_bytes=parts.kv_bytes,
            store_bytes=parts.store_bytes,
            staging_bytes=parts.staging_bytes,
            step_tokens=parts.step_tokens,
            step_image_tokens=parts.step_image_tokens,
            prefix_bytes=parts.prefix_bytes,
        )

    def share_threads(self, host: str) -> None:
        """Divide a host's cores anew among the workers that named no number of threads."""
        for member in self._office.crew.sharing(host):
            threads = self._office.crew.threads_of(member)
            beside = self._works_beside(member)
            if (threads, beside) != (member.threads, member.beside):
                member.threads, member.beside = threads, beside
                self.tell(member, say.Share(threads, beside))

    def _works_beside(self, member: Member) -> bool:
        """Whether somebody who yields to it has pictures to encode."""
        if member.hello.device != "cpu":
            return False
        replicas = self._office.core.replicas
        beside = (replicas.get(one.name) for one in self._office.crew.yielding_to(member))
        return any(one is not None and one.images for one in beside)

    def _loading(self, member: Member, word: say.Loading) -> None:
        member.loading = word

    def _ready(self, member: Member, word: say.Ready) -> None:
        if member.ready is not None:
            return  # it was welcomed twice
        reason = self._mismatch(word)
        if reason is not None:
            self.tell(member, say.Denied(-1, reason))
            self.gone(member, reason)
            return
        member.ready = word
        if member.switch is None:
            member.standing = Standing.SERVING
        self._office.chronicle.note(
            "joined",
            f"{member.name} joined: pid {member.hello.pid} on {member.hello.device}",
            worker=member.name,
            pid=member.hello.pid,
            host=member.hello.host,
        )
        self._office.journal.seat(member.name, member.hello.epoch)
        if word.stored and Stage.DECODE not in member.stages:  # others may hold what needs these
            self._returning.when_complete(partial(self._join, member, word))
        else:
            self._join(member, word)
        self._returning.back(member.name)

    def _join(self, member: Member, word: say.Ready) -> None:
        if self._office.crew.named(member.name) is not member:
            return  # it has left since
        taken = [(one, self._returning.take(one)) for one in word.held]
        arrivals = self._returning.needing({one.key for one in word.stored})
        for one in word.stored:
            if one.key not in self._office.core.images.embeddings:
                self._office.handles[one.key] = (one.run, one.handle)
        self._office.pump(
            on.Joined(
                member.name,
                member.hello.epoch,
                member.stages,
                word.kv_blocks,
                word.store_bytes,
                word.staging_bytes,
                tuple(hold for _, hold in taken if hold is not None),
                tuple(on.Store(s.key, s.handle.parts[0].shape[0], s.run) for s in word.stored),
                arrivals,
            )
        )
        if member.standing is Standing.LEAVING:  # it has said so meanwhile
            self._office.pump(on.DrainAsked(member.name))
        self._switching.joined(member)
        for held, hold in taken:
            if hold is None:
                self.tell(member, say.Release(held.request_id, held.run))
            elif held.finish:
                emitted = hold.request.emitted
                self._office.pump(
                    on.Finished(held.request_id, member.name, held.run, emitted, held.finish)
                )

    def _mismatch(self, word: say.Ready) -> str | None:
        office = self._office
        if word.fingerprint != office.fingerprint:
            expected, got = office.fingerprint[:12], word.fingerprint[:12]
            return f"expected the model with fingerprint {expected}, got one with {got}"
        if not office.dtype:
            office.dtype = word.dtype
            self._reckon(4 if word.dtype == "float32" else 2)
        if word.dtype != office.dtype:
            return f"expected dtype {office.dtype} as the first worker has, got {word.dtype}"
        return None

    def _unable(self, member: Member, word: say.Unable) -> None:
        self.gone(member, word.reason)

    def _beat(self, member: Member, word: say.Beat) -> None:
        member.beats(word)
        if member.standing is not Standing.LOADING:
            speed = Speed(word.image_token_s, word.prompt_token_s, word.decode_s, word.row_s)
            self._office.pump(on.Heard(member.name, speed))

    def _leave(self, member: Member, word: say.Leave) -> None:
        self.drain(member)

    def drain(self, member: Member) -> None:
        """No new work; `Stop` follows when it has nothing left."""
        self._switching.failed(member, "it was asked to leave")
        if member.ready is None:
            self.tell(member, say.Stop())
            return
        if member.standing is not Standing.LEAVING:
            self._office.chronicle.note(
                "draining", f"{member.name} drains: it gets no new work", worker=member.name
            )
        member.standing = Standing.LEAVING
        self._office.pump(on.DrainAsked(member.name))

    def _bye(self, member: Member, word: say.Bye) -> None:
        self.gone(member, "it left", kind="left")

    def gone(self, member: Member, reason: str, kind: str = "lost") -> None:
        """Forget a worker; what it had to do is given to others."""
        self._office.chronicle.note(kind, f"{member.name} is gone: {reason}", worker=member.name)
        self.dismiss(member, reason)
        self._office.pump(on.Lost(member.name, reason))

    def dismiss(self, member: Member, reason: str) -> None:
        """Take its name off the list and answer whoever waits for that."""
        self._switching.failed(member, reason)
        self._office.crew.remove(member)
        self._mail.forget(member.identity)
        self._office.journal.unseat(member.name)
        self._office.fewer.set()
        for identity, ask in member.waiting:
            self._office.router.send(identity, codec.encode(say.Granted(ask)))
        self.share_threads(member.hello.host)

    def tell(self, member: Member, word: say.ToWorker, *frames: Any) -> None:
        """With the loop's next turn; a worker that cannot be reached is lost then."""
        self._mail.post(member.identity, codec.encode(word), frames)

    def tell_all(self, members: Iterable[Member], word: say.ToWorker) -> None:
        encoded = codec.encode(word)
        for member in members:
            self._mail.post(member.identity, encoded)

    def mention(self, member: Member, word: say.ToWorker) -> None:
        """What it need not know now goes along with what it is told next, a ping at the latest."""
        self._mail.enclose(member.identity, codec.encode(word))

    def flush(self) -> None:
        """Say now what was to be said with the next turn."""
        self._mail.flush()

    def _unreachable(self, identity: bytes, sent: Sent) -> None:
        member = self._office.crew.at(identity)
        if member is not None:
            gone = sent is Sent.GONE
            self.gone(member, "its connection broke" if gone else "it does not read")

    # Images.

    def _encode_done(self, member: Member, word: say.EncodeDone) -> None:
        if self._embedding(member, word.key, word.run) is not None:
            self._office.handles[word.key] = (word.run, word.handle)
            self._office.pump(on.Encoded(word.key, member.name, word.run))
            self.share_threads(member.hello.host)

    def _embedding(self, member: Member, key: str, run: int) -> Embedding | None:
        found = self._office.core.images.embeddings.get(key)
        if found is None or (found.replica, found.run) != (member.name, run):
            return None
        return found

    def _encode_error(self, member: Member, word: say.EncodeError) -> None:
        log.info("%s could not encode an image: %s", member.name, word.reason)
        self._office.pump(on.EncodeFailed(word.key, member.name, word.run, word.reason, word.fault))
        self.share_threads(member.hello.host)

    def _landed(self, member: Member, word: say.Landed) -> None:
        self._office.pump(on.Pulled(word.request_id, member.name, word.run, word.index))

    def _pull_error(self, member: Member, word: say.PullError) -> None:
        log.warning("%s could not pull image %d: %s", member.name, word.index, word.reason)
        self._office.pump(
            on.PullFailed(word.request_id, member.name, word.run, word.index, word.gone)
        )

    # Text.

    def _kv_offer(self, member: Member, word: say.KvOffer) -> None:
        self._pass_on(word.request_id, word.run, word, to_decode=True)

    def _kv_taken(self, member: Member, word: say.KvTaken) -> None:
        self._pass_on(word.request_id, word.run, word, to_decode=False)
        if word.last:
            self._office.pump(on.HandedOver(word.request_id, member.name, word.run))

    def _pass_on(self, request_id: str, run: int, word: say.ToWorker, *, to_decode: bool) -> None:
        request = self._office.core.requests.get(request_id)
        if request is None or request.run != run:
            return  # that run is over; its replicas were told to release it
        name = request.decode if to_decode else request.prefill
        peer = self._office.crew.named(name or "")
        if peer is not None:
            self.tell(peer, word)

    def _stepped(self, member: Member, word: say.Stepped, frames: Sequence[bytes]) -> None:
        """Forward each client's frame unread, then tell the core how far each request is.

        What is left of a run that is over is forwarded to nobody: the run that counts says it
        again.
        """
        office, now = self._office, self._office.now()
        by_client = dict(zip(word.clients, frames, strict=False))
        rows = [row for row in word.rows if office.core.bound(row.request_id, member.name, row.run)]
        if len(rows) < len(word.rows):
            counting = {row.request_id for row in rows}
            if member.ready is not None:  # until then it tells what it goes on with, in Ready
                self._release_others(member, word.rows)
            by_client = {number: _only(counting, frame) for number, frame in by_client.items()}
        for number, frame in by_client.items():
            session = office.clients.numbered(number)
            if frame and session is not None and not session.gone:
                office.clients.send(session, frame)
        going: list[tuple[str, int, int]] = []
        for row in rows:
            ticket = office.tickets.get(row.request_id)
            if ticket is None:
                continue  # a row before ended it
            if news := by_client.get(ticket.client):
                ticket.frames.append(news)
            if row.emitted:
                office.first_tokens.setdefault(row.request_id, now)
            office.tally.tokens += max(0, row.emitted - ticket.request.emitted)
            if row.prefilled or row.finish:
                self._row(member.name, row)
            else:
                going.append((row.request_id, row.run, row.emitted))
        if going:
            office.pump(on.Stepped(member.name, going))

    def _release_others(self, member: Member, rows: Sequence[say.Row]) -> None:
        """It has been told, unless it heard the order to begin after the one to stop."""
        for row in rows:
            if not self._office.core.bound(row.request_id, member.name, row.run):
                self.tell(member, say.Release(row.request_id, row.run))

    def _row(self, name: str, row: say.Row) -> None:
        pump = self._office.pump
        if row.prefilled:
            self._office.demand.prefilled(row.request_id)
            pump(on.Prefilled(row.request_id, name, row.run, row.emitted))
        if row.finish:
            pump(on.Finished(row.request_id, name, row.run, row.emitted, row.finish))

    def _gave_up(self, member: Member, word: say.GaveUp) -> None:
        self._office.pump(on.Preempted(word.request_id, member.name, word.run))

    def _run_error(self, member: Member, word: say.RunError) -> None:
        log.warning("%s could not go on with a request: %s", member.name, word.reason)
        self._office.pump(
            on.Failed(word.request_id, member.name, word.run, word.reason, word.fault)
        )

    def _relay(self, member: Member, word: say.Relay) -> None:
        peer = self._office.crew.named(word.peer)
        if peer is not None:
            self.tell(peer, say.Relay(member.name, word.body))


def _only(requests: Set[str], frame: bytes) -> bytes:
    """The news of these requests; empty if there are none, or none that can be read."""
    try:
        items = codec.deltas(frame).items
    except codec.BadFrame as error:
        log.warning("refused news: %s", error)
        return b""
    kept = tuple(item for item in items if item.request_id in requests)
    return codec.encode(say.Deltas(kept)) if kept else b""
