"""The encode stage without pixels: pictures are measured, wait, and are batched by image tokens."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from ..costs.encode import EncodeCost
from ..pacing import ImagePace

MEASURED = 1024  # image tokens


@dataclass(frozen=True, slots=True)
class Task:
    key: str
    run: int
    image_tokens: int


@dataclass(frozen=True, slots=True)
class Batch:
    tasks: list[Task]
    seconds: float

    @property
    def image_tokens(self) -> int:
        return sum(task.image_tokens for task in self.tasks)


class EncodeStage:
    """First come, first served; an image larger than the budget runs alone."""

    def __init__(self, cost: EncodeCost | None, pace: ImagePace) -> None:
        self._cost, self.pace = cost, pace
        self._waiting: deque[Task] = deque()
        self.image_tokens = 0  # encoded since the start
        if cost is not None:  # as a real one has measured itself before it is ready
            pace.took(MEASURED, cost.seconds(MEASURED))

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, task: Task) -> None:
        self._waiting.append(task)

    def drop(self, key: str, run: int) -> None:
        """Forget a task that has not begun."""
        kept = [task for task in self._waiting if (task.key, task.run) != (key, run)]
        self._waiting = deque(kept)

    def begin(self) -> Batch | None:
        """The next batch; None where nothing waits."""
        tasks: list[Task] = []
        left = self.pace.budget()
        while self._waiting and (not tasks or self._waiting[0].image_tokens <= left):
            tasks.append(self._waiting.popleft())
            left -= tasks[-1].image_tokens
        if not tasks:
            return None
        tokens = sum(task.image_tokens for task in tasks)
        return Batch(tasks, 0.0 if self._cost is None else self._cost.seconds(tokens))

    def end(self, batch: Batch) -> list[Task]:
        self.pace.took(batch.image_tokens, batch.seconds)
        self.image_tokens += batch.image_tokens
        return batch.tasks
