"""Workers that are asked for other stages; scripted peers say what real ones do then."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import orjson
import pytest

from modserve.transport import messages as say

from .scripted import TOKEN, Client, Worker, controller, conversation

ENCODE, TEXT, ALL = ("encode",), ("prefill", "decode"), ("encode", "prefill", "decode")


def asks(client: Client, number: int, name: str, *stages: str, token: str = TOKEN) -> None:
    client.say(say.SetStages(number, token, name, stages))


@asynccontextmanager
async def serving(*stages: str) -> AsyncIterator[tuple[Worker, Client]]:
    """The only worker of a controller, and a client."""
    async with controller() as scene:
        worker, client = scene.worker(*stages), scene.client()
        await serves(worker, client)
        yield worker, client


async def introduces_itself_again(worker: Worker, name: str, told: say.Switch) -> None:
    welcomes = worker.heard(say.Welcome)
    worker.say(msgspec.structs.replace(worker.hello, name=name, stages=told.stages))
    await worker.hear(say.Welcome, welcomes + 1)


async def comes_back(worker: Worker, *, loaded: int | None = None) -> None:
    """As a real worker does that was told to switch."""
    name = (await worker.hear(say.Welcome)).name
    told = await worker.hear(say.Switch)
    await introduces_itself_again(worker, name, told)
    if loaded is not None:
        worker.say(say.Loading(loaded, loaded))
    worker.say(worker.ready())


async def serves(worker: Worker, client: Client) -> None:
    """Its Ready has been heard: another socket's words may come before it."""
    name = (await worker.join()).name
    ask = 100
    while (await states(client, ask)).get(name, ([], ""))[1] != "ready":
        ask += 1


async def states(client: Client, ask: int) -> dict[str, tuple[list[str], str]]:
    client.say(say.AskStatus(ask))
    reports = client.heard(say.Report)
    report = orjson.loads((await client.hear(say.Report, reports + 1)).body)
    return {one["name"]: (one["stages"], one["state"]) for one in report["workers"]}


@conversation
async def test_a_worker_ends_what_it_has_and_serves_other_stages() -> None:
    async with controller() as scene:
        worker, other, client = scene.worker("text"), scene.worker("text", epoch=2), scene.client()
        await serves(worker, client)
        client.submit("a", max_tokens=1)
        task = await worker.hear(say.Prefill)
        await serves(other, client)
        asks(client, 1, "text-0", "all")
        assert await states(client, 2) == {
            "text-0": (["decode", "prefill"], "switching"),
            "text-1": (["decode", "prefill"], "ready"),
        }
        assert worker.heard(say.Switch) == 0
        client.submit("b", max_tokens=1)
        await other.hear(say.Prefill)
        worker.step(task, 1, finish="stop")
        assert (await worker.hear(say.Switch)).stages == ALL
        assert client.heard(say.Switched) == 0
        await comes_back(worker, loaded=1000)
        told = await client.hear(say.Switched)
        assert (told.ask, told.loaded_bytes) == (1, 1000)
        assert min(told.drain_s, told.switch_s) > 0
        assert (await states(client, 3))["text-0"] == (sorted(ALL), "ready")
        assert (await client.hear(say.Ended)).timing.runs == 1


@conversation
async def test_a_switched_worker_is_given_the_work_of_its_new_stages() -> None:
    async with serving("encode") as (worker, client):
        asks(client, 1, "encode-0", "text")
        await comes_back(worker)
        assert (await client.hear(say.Switched)).loaded_bytes == 0
        client.submit("a", max_tokens=1)
        worker.step(await worker.hear(say.Prefill), 1, finish="length")
        await client.hear(say.Ended)


@conversation
async def test_what_makes_no_sense_is_one_sentence() -> None:
    async with controller() as scene:
        worker, loading, client = scene.worker("text"), scene.worker("all", epoch=2), scene.client()
        await serves(worker, client)
        loading.say(loading.hello)
        await loading.hear(say.Welcome)
        client.submit("a")
        await worker.hear(say.Prefill)
        cases = [
            (("nobody", "text"), r"expected the name of a worker .*, got nobody"),
            (("text-0", "paint"), r"expected a stage of .*, got paint"),
            (("text-0",), r"expected a stage of .*, got nothing"),
            (("all-0", "text"), r"expected a worker that serves, got all-0, which is loading"),
            (
                ("text-0", "encode"),
                r"another worker with prefill and decode before text-0 .* 1 open requests",
            ),
        ]
        for number, (what, sentence) in enumerate(cases, start=1):
            asks(client, number, *what)
            denied = await client.hear(say.Denied, number)
            with pytest.raises(AssertionError, match=sentence):
                raise AssertionError(denied.reason)
        asks(client, 9, "text-0", "encode", token="guess")
        assert "token" in (await client.hear(say.Denied, len(cases) + 1)).reason
        assert worker.heard(say.Switch) == 0


@conversation
async def test_stages_that_it_serves_already_are_answered_at_once() -> None:
    async with serving("text") as (worker, client):
        asks(client, 1, "text-0", "prefill", "decode")
        assert await client.hear(say.Switched) == say.Switched(1, 0.0, 0.0, 0)
        assert worker.heard(say.Switch) == 0


@conversation
async def test_the_last_who_asks_is_right_and_the_others_are_told() -> None:
    async with serving("text") as (worker, client):
        client.submit("a", max_tokens=2)
        task = await worker.hear(say.Prefill)
        asks(client, 1, "text-0", "all")
        asks(client, 2, "text-0", "text")
        assert (await client.hear(say.Switched)).ask == 2
        denied = await client.hear(say.Denied)
        assert (denied.ask, denied.reason) == (1, "text-0 was asked for text meanwhile")
        worker.step(task, 1)
        worker.step(task, 2, finish="length")
        await client.hear(say.Ended)
        assert (await states(client, 3))["text-0"][1] == "ready"
        assert worker.heard(say.Switch) == 0


@conversation
async def test_who_is_on_its_way_is_not_asked_again() -> None:
    async with serving("text") as (worker, client):
        asks(client, 1, "text-0", "all")
        await worker.hear(say.Switch)
        asks(client, 2, "text-0", "encode")
        denied = await client.hear(say.Denied)
        assert (denied.ask, "text-0, which switches to all" in denied.reason) == (2, True)
        await comes_back(worker)
        assert (await client.hear(say.Switched)).ask == 1


@pytest.mark.parametrize("when", ["draining", "loading"])
@conversation
async def test_a_removal_overrules_a_switch(when: str) -> None:
    async with serving("text") as (worker, client):
        client.submit("a", max_tokens=1)
        task = await worker.hear(say.Prefill)
        asks(client, 1, "text-0", "all")
        if when == "loading":
            worker.step(task, 1, finish="stop")
            await worker.hear(say.Switch)
        client.say(say.Remove(2, TOKEN, "text-0"))
        denied = await client.hear(say.Denied)
        assert (denied.ask, "it was asked to leave" in denied.reason) == (1, True)
        if when == "draining":
            worker.step(task, 1, finish="stop")
        await worker.hear(say.Stop)
        worker.say(say.Bye())
        assert (await client.hear(say.Granted)).ask == 2
        assert worker.heard(say.Switch) == (when == "loading")


@pytest.mark.parametrize("how", ["unable", "other model", "gone"])
@conversation
async def test_a_worker_that_cannot_switch_leaves_and_says_why(how: str) -> None:
    async with serving("text") as (worker, client):
        asks(client, 1, "text-0", "all")
        told = await worker.hear(say.Switch)
        await introduces_itself_again(worker, "text-0", told)
        if how == "unable":
            worker.say(say.Unable("expected a vision tower, got none"))
        elif how == "gone":
            worker.say(say.Bye())
        else:
            worker.say(msgspec.structs.replace(worker.ready(), fingerprint="other"))
        denied = await client.hear(say.Denied)
        sentence = {"unable": "a vision tower", "gone": "it left", "other model": "fingerprint"}
        assert "text-0 left instead of switching: " in denied.reason
        assert sentence[how] in denied.reason
        assert await states(client, 2) == {}


@conversation
async def test_a_controller_that_takes_anothers_place_meets_the_new_stages(tmp_path: Path) -> None:
    """The name was in the journal with others; what it holds now is nothing."""
    async with controller(journal=tmp_path) as scene:
        worker, client = scene.worker("encode"), scene.client()
        await serves(worker, client)
        asks(client, 1, "encode-0", "text")
        told = await worker.hear(say.Switch)
        await scene.succeed()
        await introduces_itself_again(worker, "encode-0", told)
        worker.say(worker.ready())
        client.say(say.Greet(say.PROTOCOL))
        client.submit("a", max_tokens=1)
        worker.step(await worker.hear(say.Prefill), 1, finish="length")
        await client.hear(say.Ended)
        assert (await states(client, 2))["encode-0"] == (sorted(TEXT), "ready")


@conversation
async def test_an_order_waits_until_all_are_back_who_make_it_possible(tmp_path: Path) -> None:
    """Asked of the controller that follows, when only the worker that it names has come back."""
    async with controller(journal=tmp_path) as scene:
        worker, other, client = scene.worker("text"), scene.worker("text", epoch=2), scene.client()
        await serves(worker, client)
        await serves(other, client)
        client.submit("a", max_tokens=1)
        await worker.hear(say.Prefill)
        await scene.succeed()
        other.say(msgspec.structs.replace(other.hello, name="text-1"))
        other.say(other.ready())
        client.say(say.Greet(say.PROTOCOL))
        client.submit("a", max_tokens=1)
        while (await states(client, 2)).get("text-1", ([], ""))[1] != "ready":
            pass
        asks(client, 1, "text-1", "encode")
        worker.say(msgspec.structs.replace(worker.hello, name="text-0"))
        worker.say(worker.ready())
        await comes_back(other)
        assert (await client.hear(say.Switched)).ask == 1


@conversation
async def test_a_controller_that_shuts_down_lets_a_switch_end() -> None:
    """Open requests may wait for it."""
    async with controller() as scene:
        worker, other, client = scene.worker("text"), scene.worker("text", epoch=2), scene.client()
        await serves(worker, client)
        await serves(other, client)
        client.submit("a", max_tokens=1)
        task = await worker.hear(say.Prefill)
        asks(client, 1, "text-1", "all")
        await other.hear(say.Switch)
        client.say(say.Shutdown(2, TOKEN, drain=True))
        await comes_back(other)
        assert (await client.hear(say.Switched)).ask == 1
        worker.step(task, 1, finish="stop")
        await client.hear(say.Ended)
        await other.hear(say.Stop)
