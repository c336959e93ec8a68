"""Peers that say what real ones say and compute nothing; they keep the time of every word."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import zmq

from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.channels import Dealer

BEAT_S = 0.25
BLOCKS = 2**24  # never the limit


class Worker:
    """Every `step_s` it has one more token for each of its requests."""

    def __init__(self, endpoint: str, token: str, fingerprint: str, step_s: float) -> None:
        self.began: dict[str, float] = {}  # request: when its Prefill came
        self.stepped: dict[tuple[str, int], float] = {}  # its token number n: when it was sent
        self.frames = 0  # of deltas
        self._fingerprint, self._step_s = fingerprint, step_s
        self._open: dict[str, tuple[say.Prefill, int]] = {}
        self._welcomed = asyncio.Event()
        self._dealer = Dealer(endpoint, self._hear)
        self._hello = say.Hello(
            protocol=say.PROTOCOL,
            token=token,
            epoch=1,
            name="",
            stages=("all",),
            host="here",
            pid=1,
            device="cpu",
            dtype="auto",
            cores=1,
            threads=1,
            log="",
        )

    async def serve(self) -> None:
        self._say(self._hello)
        await self._welcomed.wait()
        self._say(say.Ready(self._fingerprint, "float32", BLOCKS, 2**30, 2**30))
        beaten = 0.0
        try:
            while True:
                if time.perf_counter() - beaten > BEAT_S:
                    beaten = time.perf_counter()
                    self._say(say.Beat())
                self._step()
                await asyncio.sleep(self._step_s)
        finally:
            self._dealer.close()

    def _say(self, word: say.FromWorker, *frames: bytes) -> None:
        self._dealer.send(codec.encode(word), *frames)

    def _hear(self, frames: list[zmq.Frame]) -> None:
        for word in codec.to_worker(frames[0].buffer):
            if isinstance(word, say.Prefill):
                self.began[word.request_id] = time.perf_counter()
                self._open[word.request_id] = word, 0
            elif isinstance(word, say.Welcome):
                self._welcomed.set()

    def _step(self) -> None:
        rows: list[say.Row] = []
        news: dict[int, list[say.Delta]] = {}
        for name, (task, before) in list(self._open.items()):
            emitted = before + 1
            last = emitted == task.sampling.max_tokens
            rows.append(say.Row(name, task.run, emitted, emitted == 1, "length" if last else ""))
            news.setdefault(task.client, []).append(say.Delta(name, before, (7,), " word"))
            if last:
                del self._open[name]
            else:
                self._open[name] = task, emitted
        if not rows:
            return
        frames = [codec.encode(say.Deltas(tuple(deltas))) for deltas in news.values()]
        self.frames += len(frames)
        now = time.perf_counter()
        self.stepped |= {(row.request_id, row.emitted): now for row in rows}
        self._say(say.Stepped(tuple(rows), tuple(news)), *frames)


class Client:
    def __init__(self, endpoint: str, ended: Callable[[str], None]) -> None:
        self.sent: dict[str, float] = {}
        self.heard: dict[tuple[str, int], float] = {}  # token number n: when it came
        self._ended = ended
        self._dealer = Dealer(endpoint, self._hear)
        self._dealer.send(codec.encode(say.Greet(say.PROTOCOL)))

    def submit(self, request_id: str, text: str, tokens: int) -> None:
        sampling = say.Sampling(max_tokens=tokens, ignore_eos=True)
        turn = say.Turn("user", (say.TextPart(text),))
        word = codec.encode(say.Submit(request_id, sampling, turns=(turn,)))
        self.sent[request_id] = time.perf_counter()
        self._dealer.send(word)

    def close(self) -> None:
        self._dealer.close()

    def _hear(self, frames: list[zmq.Frame]) -> None:
        now = time.perf_counter()
        for word in codec.to_client(frames[0].buffer):
            match word:
                case say.Deltas(items):
                    self.heard |= {(item.request_id, item.start + 1): now for item in items}
                case say.Ended(request_id=name):
                    self._ended(name)
                case say.Refused(reason=reason):
                    raise RuntimeError(f"expected an answer from the controller, got: {reason}")
