"""A controller takes the place of another: scripted peers say what real ones do then."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from modserve.controller.options import Parts
from modserve.transport import messages as say

from .scripted import PICTURE, Client, Scene, Worker, controller, conversation, handle


def held(task: say.Prefill, emitted: int, token: int = 7, finish: str = "") -> say.Held:
    news = tuple(
        say.Delta(task.request_id, index, (token,), f"<{token}>") for index in range(emitted)
    )
    return say.Held(task.request_id, task.run, task.client, (), news, finish)


async def says_hello_again(worker: Worker) -> None:
    """As a worker does that meets a controller it does not know."""
    worker.say(say.Beat())
    await worker.hear(say.Unknown)
    welcomes, name = worker.heard(say.Welcome), (await worker.hear(say.Welcome)).name
    worker.say(msgspec.structs.replace(worker.hello, name=name))
    await worker.hear(say.Welcome, welcomes + 1)


async def returns(worker: Worker, *holds: say.Held, stored: tuple[say.Stored, ...] = ()) -> None:
    await says_hello_again(worker)
    worker.say(msgspec.structs.replace(worker.ready(100, *holds), stored=stored))


def asks_again(client: Client, request_id: str, *emitted: int, **sampling: int) -> None:
    client.say(say.Greet(say.PROTOCOL))
    turn = say.Turn("user", (say.TextPart("Hello"),))
    client.say(
        say.Submit(request_id, say.Sampling(**sampling), turns=(turn,), emitted=emitted)  # type: ignore[arg-type]
    )


async def begun(scene: Scene, tokens: int = 2) -> tuple[Worker, Client, say.Prefill]:
    """A request of which a worker has said some tokens, and its client heard them."""
    worker, client = scene.worker("text"), scene.client()
    await worker.join()
    client.submit("a", max_tokens=8)
    task = await worker.hear(say.Prefill)
    for number in range(1, tokens + 1):
        worker.step(task, number)
    await client.hear(say.Deltas, tokens)
    return worker, client, task


@conversation
async def test_a_run_goes_on_where_it_is(tmp_path: Path) -> None:
    async with controller(journal=tmp_path) as scene:
        worker, client, task = await begun(scene)
        await scene.succeed()
        await returns(worker, held(task, 4))  # two that the client has not heard
        asks_again(client, "a", 7, max_tokens=8)
        said = await client.hear(say.Deltas, 3)
        assert [item.start for item in said.items] == [0, 1, 2, 3]
        worker.step(task, 5, finish="stop")
        ended = await client.hear(say.Ended)
        assert (ended.finish_reason, ended.usage.completion_tokens) == ("stop", 5)
        assert worker.heard(say.Prefill) == 1
        assert (await worker.hear(say.Release)).run == task.run


@conversation
async def test_a_run_that_ended_meanwhile_is_told_to_the_client_that_asks(tmp_path: Path) -> None:
    async with controller(journal=tmp_path) as scene:
        worker, client, task = await begun(scene)
        await scene.succeed()
        await returns(worker, held(task, 3, finish="stop"))
        await worker.hear(say.Release)
        asks_again(client, "a", 7, max_tokens=8)
        ended = await client.hear(say.Ended)
        assert ended.usage.completion_tokens == 3
        deltas = [word for word in client.words if isinstance(word, say.Deltas)]
        assert [item.start for item in deltas[-1].items] == [0, 1, 2]


@conversation
async def test_a_request_that_nobody_holds_starts_over_behind_what_its_client_has(
    tmp_path: Path,
) -> None:
    async with controller(journal=tmp_path) as scene:
        worker, client, task = await begun(scene)
        await scene.succeed()
        asks_again(client, "a", 7, max_tokens=8)
        await client.hear(say.Greeting)
        await returns(worker)
        again = await worker.hear(say.Prefill, 2)
        assert again.token_ids == (*task.token_ids, 7)
        assert again.sampling == task.sampling, "with the same seed"


@conversation
async def test_a_client_that_misses_tokens_which_nobody_has_gets_them_made_again(
    tmp_path: Path,
) -> None:
    async with controller(journal=tmp_path) as scene:
        worker, client, task = await begun(scene)
        await scene.succeed()
        whole = held(task, 4)
        late = msgspec.structs.replace(whole, before=(7, 7, 7), news=whole.news[3:])
        await returns(worker, late)  # before its client is there
        asks_again(client, "a", max_tokens=8)
        again = await worker.hear(say.Prefill, 2)
        assert again.token_ids == task.token_ids
        assert again.sampling == task.sampling
        assert (await worker.hear(say.Release)).run == task.run


@conversation
async def test_images_are_kept_too(tmp_path: Path) -> None:
    async with controller(journal=tmp_path) as scene:
        encoder, client = scene.worker("encode"), scene.client()
        await encoder.join()
        client.submit("a", "What is this?", PICTURE, max_tokens=8)
        await encoder.hear(say.Encode)
        await scene.succeed()
        await returns(encoder)
        await encoder.hear(say.Encode, 2)
        assert encoder.frames[-1] == [PICTURE]


@conversation
async def test_runs_that_nobody_knows_are_released(tmp_path: Path) -> None:
    async with controller() as scene:  # no journal
        worker, _, task = await begun(scene)
        await scene.succeed()
        await returns(worker, held(task, 2))
        assert (await worker.hear(say.Release)).run == task.run


@pytest.mark.parametrize(
    "change",
    [{"client": 5}, {"before": (1, 2, 3)}, {"news": ()}, {"request_id": "b"}],
)
@conversation
async def test_words_about_runs_that_make_no_sense_are_not_believed(
    tmp_path: Path, change: dict[str, object]
) -> None:
    async with controller(journal=tmp_path) as scene:
        worker, client, task = await begun(scene)
        await scene.succeed()
        asks_again(client, "a", 7, max_tokens=8)
        await client.hear(say.Greeting)
        await returns(worker, msgspec.structs.replace(held(task, 4), **change))
        again = await worker.hear(say.Prefill, 2)
        assert again.token_ids == (*task.token_ids, 7)


@conversation
async def test_a_name_is_kept_for_the_worker_that_has_it(tmp_path: Path) -> None:
    async with controller(journal=tmp_path) as scene:
        old = scene.worker("text")
        assert (await old.join()).name == "text-0"
        old.say(say.Beat())
        client = scene.client()
        client.submit("a", max_tokens=8)
        await old.hear(say.Prefill)  # it is seated
        await scene.succeed()
        assert (await scene.worker("text", epoch=2).join()).name == "text-1"
        await returns(old)


@conversation
async def test_a_request_can_be_cancelled_before_its_worker_is_back(tmp_path: Path) -> None:
    async with controller(journal=tmp_path) as scene:
        _, client, _ = await begun(scene)
        await scene.succeed()
        asks_again(client, "a", 7, max_tokens=8)
        client.say(say.Cancel("a"))
        assert (await client.hear(say.Ended)).finish_reason == "cancelled"
        await scene.succeed()
        client.say(say.AskStatus(1))
        report = await client.hear(say.Report)
        assert msgspec.json.decode(report.body)["requests"]["open"] == 0, "it is struck out"


@conversation
async def test_a_client_that_does_not_come_back_loses_its_requests(tmp_path: Path) -> None:
    from modserve.controller.options import Limits

    async with controller(Limits(silent_s=1.0), journal=tmp_path) as scene:
        worker, _, task = await begun(scene)
        await scene.succeed()
        await returns(worker, held(task, 2))
        assert (await worker.hear(say.Release)).run == task.run


@conversation
async def test_strict_it_refuses_what_it_cannot_write_down(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    folder = tmp_path / "file" / "journal"
    async with controller(journal=folder, strict_journal=True) as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a")
        refused = await client.hear(say.Refused)
        assert refused.code == "journal"
        assert "Not a directory" in refused.reason
    async with controller(journal=folder) as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a")
        await worker.hear(say.Prefill)


@conversation
async def test_a_run_that_steps_on_before_its_worker_is_ready_again_is_not_released(
    tmp_path: Path,
) -> None:
    async with controller(journal=tmp_path) as scene:
        worker, client, task = await begun(scene)
        await scene.succeed()
        await says_hello_again(worker)
        worker.step(task, 3)
        worker.say(worker.ready(100, held(task, 3)))
        worker.step(task, 4, finish="stop")
        asks_again(client, "a", 7, max_tokens=8)
        assert (await client.hear(say.Ended)).usage.completion_tokens == 4
        assert worker.heard(say.Prefill) == 1


async def encoded(scene: Scene) -> tuple[Worker, Client, say.Stored]:
    """A request whose image is ready; no text worker is there yet."""
    encoder, client = scene.worker("encode"), scene.client()
    welcome = await encoder.join()
    client.submit("a", "What is this?", PICTURE, max_tokens=8)
    task = await encoder.hear(say.Encode)
    stored = say.Stored(task.key, task.run, handle(welcome.name))
    encoder.say(say.EncodeDone(task.key, task.run, stored.handle))
    return encoder, client, stored


@conversation
async def test_an_embedding_is_used_where_it_is(tmp_path: Path) -> None:
    async with controller(journal=tmp_path) as scene:
        encoder, _, stored = await encoded(scene)
        await scene.succeed()
        await returns(encoder, stored=(stored,))
        worker = scene.worker("text")
        await worker.join()
        supply = await worker.hear(say.Supply)
        assert supply.handle == stored.handle
        assert encoder.heard(say.Encode) == 1


@conversation
async def test_an_embedding_that_nobody_needs_is_forgotten(tmp_path: Path) -> None:
    async with controller(journal=tmp_path, parts=Parts(image_cache_bytes=0)) as scene:
        encoder, _, stored = await encoded(scene)
        await scene.succeed()
        other = msgspec.structs.replace(stored, key="other")
        await returns(encoder, stored=(stored, other))
        assert (await encoder.hear(say.Forget)).key == "other"
        assert encoder.heard(say.Encode) == 1
