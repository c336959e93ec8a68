"""A worker whose stages take the time that its cost models say.

As a real one has a thread that computes: a text step, then an encode batch, and again. Text steps
between which nobody joins, leaves or needs a block are put on the agenda as one; whoever brings
something meanwhile breaks them off behind the one under way.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from functools import partial
from heapq import heapreplace
from itertools import accumulate
from math import inf

from ..scheduler.computing.encoding import Batch, EncodeStage, Task
from ..scheduler.computing.sequence import Sequence
from ..scheduler.computing.text import Ended, Step, TextStage
from ..scheduler.pacing import BATCH_S, ImagePace, TextPace
from ..scheduler.replica import Speed
from ..scheduler.stage import Stage
from .agenda import PASSING, STEP, Agenda
from .cluster import TEXT, Group, Scheduling
from .counts import AMPLE, Counts


class Worker:
    def __init__(
        self,
        name: str,
        number: int,
        group: Group,
        scheduling: Scheduling,
        agenda: Agenda,
        counts: Counts,
        stepped: Callable[[Worker, Step, Ended], None],
        encoded: Callable[[Worker, Task], None],
    ) -> None:
        """`counts`: when blocks are; `stepped` and `encoded` are told what has come of the work."""
        self.name, self.number, self.group = name, number, group
        self.text = _text(group, scheduling, counts)
        self.encode = _encode(group, scheduling)
        self.joined_s = agenda.now
        self.busy_s = 0.0
        self._told_s = -1.0  # of them, when it last told its speed
        self._agenda, self._rank = agenda, STEP + number
        self._most = scheduling.most_steps
        self._tell, self._tell_encoded = stepped, encoded
        self._threads = [0.0] * group.threads  # when each has preprocessed what it was given
        self._wanted: dict[str, int] = {}  # images, not encoded yet: the run
        self._going = False
        self._step: Step | None = None
        self._ends: list[float] = []  # of the steps under way
        self._broken = 0  # how often steps were broken off: older ends count no more

    # What it is told.

    def open(self, sequence: Sequence) -> bool:
        """False where there is no room; the books of the core do not let that happen."""
        self.settle()
        text = self.text
        if text is None:
            return False
        counted, taken = text.counts, text.add(sequence)
        if text.counts and not counted:
            self._tell_counted()
        self._wake()
        return taken

    def count_blocks(self) -> None:
        """From now on, whatever room there is."""
        if self.text is not None and not self.text.counts:
            self.settle()
            self.text.count_always()
            self._tell_counted()

    def _tell_counted(self) -> None:
        """Of blocks that it has not told of."""
        assert self.text is not None
        growing = list(self.text.decoding.values())
        self._tell(self, Step([], [], 0, 0, []), Ended([], growing, [], []))

    def land(self, request_id: str, index: int) -> None:
        if self.text is not None:
            self.settle()
            self.text.land(request_id, index)
            self._wake()

    def receive(self, request_id: str, end: int, emitted: int | None) -> None:
        if self.text is not None:
            self.settle()
            self.text.receive(request_id, end, emitted)
            self._wake()

    def release(self, request_id: str, run: int) -> int:
        """The tokens that it has emitted; 0 where it is not there any more."""
        sequence = None if self.text is None else self.text.sequences.get(request_id)
        if self.text is None or sequence is None:
            return 0
        self.settle()
        emitted = self.text.tokens_of(sequence) - sequence.prompt_tokens
        self.text.drop(request_id, run)
        self._wake()  # what gave way to it may go on
        return emitted

    def progress(self) -> list[tuple[str, int, int]]:
        """(request, run, emitted) of everybody who decodes, as of now."""
        self.settle()
        text = self.text
        if text is None:
            return []
        return [
            (one.id, one.run, text.tokens_of(one) - one.prompt_tokens)
            for one in text.decoding.values()
        ]

    def news(self) -> Speed | None:
        """What it has measured of itself; None: nothing since it last told."""
        self._take_in()
        if self._told_s == self.busy_s:
            return None
        self._told_s = self.busy_s
        text, encode = self.text, self.encode
        return Speed(
            image_token_s=encode.pace.token_s if encode is not None else 0.0,
            prompt_token_s=text.pace.token_s if text is not None else 0.0,
            decode_s=text.pace.decode_s if text is not None else 0.0,
            row_s=text.pace.row_s if text is not None else 0.0,
        )

    def leave(self) -> None:
        """It computes no more, and tells nothing."""
        self.settle()
        self.text = self.encode = None

    # Images.

    def preprocess(self, task: Task, pixels: int) -> None:
        """Then encode, in the order in which they are preprocessed."""
        self._wanted[task.key] = task.run
        cost = self.group.costs.preprocess
        seconds = 0.0 if cost is None else cost.seconds(pixels)
        done_s = max(self._threads[0], self._agenda.now) + seconds
        heapreplace(self._threads, done_s)
        self._agenda.at(done_s, PASSING, partial(self._preprocessed, task))

    def forget(self, key: str, run: int) -> None:
        if self._wanted.get(key) == run:
            del self._wanted[key]
            if self.encode is not None:
                self.encode.drop(key, run)

    def _preprocessed(self, task: Task) -> None:
        if self.encode is not None and self._wanted.get(task.key) == task.run:
            self.settle()
            self.encode.add(task)
            self._wake()

    # Computing.

    def _wake(self) -> None:
        """Somebody has brought something; whatever else comes at this moment comes first."""
        if not self._going:
            self._going = True
            self._agenda.at(self._agenda.now, self._rank, self._begin)

    def _begin(self) -> None:
        if not self._begin_text() and not self._begin_batch():
            self._going = False

    def _begin_text(self) -> bool:
        if self.text is None:
            return False
        waits = self.encode is not None and len(self.encode) > 0
        step = self.text.begin(1 if waits else self._most)
        if step is None:
            return False
        self._step = step
        self._ends = list(accumulate(step.times_s, initial=self._agenda.now))[1:]
        self._put_end()
        return True

    def _put_end(self) -> None:
        self._agenda.at(self._ends[-1], self._rank, partial(self._stepped, self._broken))

    def _stepped(self, broken: int) -> None:
        step = self._step
        if broken != self._broken or step is None or self.text is None:
            return
        self._step = None
        self._count(step.times_s)
        self._tell(self, step, self.text.end(step))
        if not self._begin_batch():
            self._begin()

    def settle(self) -> None:
        """Take in the steps that have ended by now; the one under way is the last of them."""
        self._take_in()
        step = self._step
        if step is not None and len(self._ends) > 1:
            self._step = Step([], step.preempted, 0, step.decodes, step.times_s[:1])
            self._ends = self._ends[:1]
            self._broken += 1
            self._put_end()

    def _take_in(self) -> None:
        """The steps that have ended by now; those behind them stay as they are."""
        step, last = self._step, len(self._ends) - 1
        if step is None or self.text is None or not last:
            return
        passed = bisect_right if self._rank < self._agenda.rank else bisect_left
        done = min(last, passed(self._ends, self._agenda.now))
        if done:
            self._count(step.times_s[:done])
            self.text.end(step, done)  # nobody is due between them
            self._step = Step([], step.preempted, 0, step.decodes, step.times_s[done:])
            self._ends = self._ends[done:]

    def _begin_batch(self) -> bool:
        batch = self.encode.begin() if self.encode is not None else None
        if batch is None:
            return False
        end_s = self._agenda.now + batch.seconds
        self._agenda.at(end_s, self._rank, partial(self._encoded, batch))
        return True

    def _encoded(self, batch: Batch) -> None:
        if self.encode is None:
            return
        self._count([batch.seconds])
        for task in self.encode.end(batch):
            if self._wanted.get(task.key) == task.run:
                del self._wanted[task.key]
                self._tell_encoded(self, task)
        self._begin()

    def _count(self, times_s: Iterable[float]) -> None:
        for seconds in times_s:  # not `sum`, which is rounded otherwise than one after another
            self.busy_s += seconds


def _text(group: Group, scheduling: Scheduling, counts: Counts) -> TextStage | None:
    if not group.stages & TEXT:
        return None
    return TextStage(
        group.costs.text,
        TextPace(scheduling.step_tokens),
        blocks=group.kv_blocks,
        block_size=scheduling.block_size,
        order=scheduling.order,
        ample=None if counts is Counts.ALWAYS else group.kv_blocks // AMPLE,
    )


def _encode(group: Group, scheduling: Scheduling) -> EncodeStage | None:
    if Stage.ENCODE not in group.stages:
        return None
    batch_s = BATCH_S if scheduling.paced else inf
    return EncodeStage(group.costs.encode, ImagePace(scheduling.step_image_tokens, batch_s))
