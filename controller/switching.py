"""Workers that change their stages: who asked, who may not, and what came of it.

    SetStages ──> SwitchAsked ──(drained)──> SwitchStages ──> Switch
                                   Switched <── Ready <── Welcome <── Hello

From the asking to its Ready the worker is SWITCHING, whoever asked: a policy of the core, too.
"""

from __future__ import annotations

from ..scheduler import events as on
from ..scheduler.stage import Stage, role_of, stages_of
from ..scheduler.switching import missed, needed
from ..transport import codec
from ..transport import messages as say
from .crew import Member, Standing, Switch
from .office import Office


class Switching:
    def __init__(self, office: Office, *, takes_images: bool) -> None:
        """`takes_images`: whether the model does, so that there is something to encode."""
        self._office, self._takes_images = office, takes_images

    def ask(self, member: Member, identity: bytes, word: say.SetStages) -> None:
        """Answered once the worker serves, or with a sentence that says why it does not."""
        try:
            stages = stages_of(list(word.stages))
        except ValueError as error:
            self._deny(identity, word.ask, str(error))
            return
        under_way = member.switch is not None and member.switch.stages == stages
        comes_back = member.standing is Standing.LOADING and member.stages == stages
        reason = None if under_way or comes_back else self.refusal(member, stages)
        if reason is not None:
            self._deny(identity, word.ask, reason)
        elif under_way or comes_back:  # perhaps for the controller before us
            self._await(member, (identity, word.ask, stages))
        elif member.standing is Standing.SERVING and member.stages == stages:
            self._answer(identity, say.Switched(word.ask, 0.0, 0.0, 0))
        else:
            self._begin(member, stages)
            assert member.switch is not None
            member.switch.asked.append((identity, word.ask, stages))
            self._office.pump(on.SwitchAsked(member.name, stages))
            if member.stages == stages:
                self.served(member)  # it goes on as it was

    def refusal(self, member: Member, stages: frozenset[Stage]) -> str | None:
        """Why it may not change to these stages now."""
        if member.standing in (Standing.LOADING, Standing.LEAVING):
            doing = member.standing.name.lower()
            return f"expected a worker that serves, got {member.name}, which is {doing}"
        if member.switch is not None and member.switch.drained is not None:
            role = role_of(member.switch.stages)
            return f"expected a worker that serves, got {member.name}, which switches to {role}"
        if stages == {Stage.ENCODE} and not self._takes_images:
            return f"expected a model with images for {member.name} to encode, got one without"
        others = [
            one.stages if one.switch is None else one.switch.stages
            for one in self._office.crew
            if one is not member and one.standing in (Standing.SERVING, Standing.SWITCHING)
        ]
        requests = [ticket.request for ticket in self._office.tickets.values()]
        lacking = missed(member.stages, stages, others, needed(requests))
        if not lacking:
            return None
        return (
            f"expected another worker with {' and '.join(lacking)} before {member.name} gives it "
            f"up, got none and {len(requests)} open requests"
        )

    def _await(self, member: Member, asked: tuple[bytes, int, frozenset[Stage]]) -> None:
        """Of a worker that loads what is asked for: it told whoever was here before us that it has
        let go of the rest."""
        if member.switch is None:
            now = self._office.now()
            member.standing, member.switch = Standing.SWITCHING, Switch(asked[2], now, now)
        member.switch.asked.append(asked)

    def _begin(self, member: Member, stages: frozenset[Stage]) -> None:
        member.standing = Standing.SWITCHING
        if member.switch is None:
            member.switch = Switch(stages, since=self._office.now())
        member.switch.stages = stages

    def awaits(self, word: say.Hello) -> bool:
        """It is one of ours, on its way to other stages: welcome even while we shut down."""
        member = self._office.crew.named(word.name)
        return member is not None and member.switch is not None and member.hello.epoch == word.epoch

    def drained(self, member: Member, stages: frozenset[Stage]) -> say.Switch:
        """The core has let go of it; what it is to be told."""
        self._begin(member, stages)
        assert member.switch is not None
        member.switch.drained = self._office.now()
        member.ready = member.loading = None
        return say.Switch(tuple(stage.value for stage in Stage if stage in stages))

    def joined(self, member: Member) -> None:
        """It is in the core's books: what was asked before they knew it is asked now."""
        if member.switch is None:
            return
        if member.switch.drained is None and member.stages != member.switch.stages:
            self._office.pump(on.SwitchAsked(member.name, member.switch.stages))
        else:
            self.served(member)

    def served(self, member: Member) -> None:
        """Answer those who asked for what it serves now; the others were overruled."""
        switch, member.switch = member.switch, None
        member.standing = Standing.SERVING
        if switch is None:
            return
        now = self._office.now()
        drained = switch.drained or now
        loaded = member.loading.total_bytes if member.loading and switch.drained else 0
        for identity, ask, stages in switch.asked:
            if stages == member.stages:
                took = drained - switch.since, now - drained
                self._answer(identity, say.Switched(ask, *took, loaded))
            else:
                reason = f"{member.name} was asked for {role_of(member.stages)} meanwhile"
                self._deny(identity, ask, reason)

    def failed(self, member: Member, reason: str) -> None:
        """It leaves, or was told to: nobody is to wait for it."""
        switch, member.switch = member.switch, None
        for identity, ask, _ in switch.asked if switch is not None else ():
            self._deny(identity, ask, f"{member.name} left instead of switching: {reason}")

    def _answer(self, identity: bytes, word: say.ToClient) -> None:
        self._office.router.send(identity, codec.encode(word))

    def _deny(self, identity: bytes, ask: int, reason: str) -> None:
        self._answer(identity, say.Denied(ask, reason))
