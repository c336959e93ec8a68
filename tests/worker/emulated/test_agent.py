"""Emulated workers behind a real controller, asked by real clients: what real ones do, without the
work."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from modserve.client import Answer, AsyncClient
from modserve.controller.options import Limits, Parts
from modserve.scheduler.costs.costs import Costs, LinkCost
from modserve.scheduler.costs.encode import EncodeCost, PreprocessCost
from modserve.scheduler.costs.text import TextCost
from modserve.tests.controller.scripted import PICTURE, TOKEN, controller, conversation
from modserve.transport import messages as say
from modserve.transport.messages import Timing
from modserve.worker.emulated.answers import tokens
from modserve.worker.emulated.profile import Emulation
from modserve.worker.membership import Unwanted

from .crews import Crew, crew

STEP_S = 0.002
STEADY = Emulation(
    Costs(
        preprocess=PreprocessCost(1e-3, 0.0),
        encode=EncodeCost(1e-3, 1e-6),
        text=TextCost(STEP_S, 0.0, 0.0, 0.0, 0.0),
        link=LinkCost(1e-3, 0.0),
    )
)
SPLIT = ("encode", "encode", "prefill", "prefill", "decode", "decode", "decode", "decode")


def timing(answer: Answer) -> Timing:
    assert answer.timing is not None
    return answer.timing


async def settled(made: Crew, *, open_requests: int = 0) -> None:
    """Until nothing is booked or held for a request any more."""
    while True:
        status = await made.status()
        workers, requests = status["workers"], status["requests"]
        assert isinstance(workers, list) and isinstance(requests, dict)
        booked = sum(one["kv_blocks_booked"] for one in workers)
        engines = [one.work.engine for one in made.agents if one.work is not None]
        held = sum(engine.text.used for engine in engines if engine.text is not None)
        if (requests["open"], booked, held) == (open_requests, 0, 0):
            return


@conversation
async def test_a_text_request_gets_every_token_once() -> None:
    async with controller() as scene, crew(scene, "text"), AsyncClient(scene.endpoint) as client:
        answer = await client.generate("Hello", max_tokens=30, seed=5)
        assert tuple(answer.token_ids) == tokens(5, range(30))
        assert answer.finish_reason == "length"
        answer = await client.generate("Hello", max_tokens=30, seed=5, stop_token_ids=[5 + 37])
        assert (len(answer.token_ids), answer.finish_reason) == (2, "stop")


@conversation
async def test_an_image_is_encoded_elsewhere_and_pulled() -> None:
    async with (
        controller(parts=Parts(image_cache_bytes=0)) as scene,
        crew(scene, "encode", "text", emulation=STEADY) as made,
        AsyncClient(scene.endpoint) as client,
    ):
        answer = await client.generate("What is this?", [PICTURE], max_tokens=3)
        assert answer.usage is not None and answer.usage.image_tokens > 0
        assert timing(answer).encode_s >= 2e-3
        await settled(made)
        work = made.agents[0].work
        assert work is not None and work.images.store.bytes == 0, "forgotten with its last consumer"


@conversation
async def test_kv_goes_from_prefill_to_decode() -> None:
    async with (
        controller() as scene,
        crew(scene, "prefill", "decode", emulation=STEADY) as made,
        AsyncClient(scene.endpoint) as client,
    ):
        answer = await client.generate("word " * 700, max_tokens=20, seed=3)
        assert tuple(answer.token_ids) == tokens(3, range(20))
        assert timing(answer).transfer_s > 0
        await settled(made)


@conversation
async def test_a_cancelled_request_leaves_nothing_behind() -> None:
    async with (
        controller() as scene,
        crew(scene, "encode", "prefill", "decode", emulation=STEADY) as made,
        AsyncClient(scene.endpoint) as client,
    ):
        for count in (0, 1, 5):
            stream = client.stream("What is this?", [PICTURE], max_tokens=1000)
            for _ in range(count):
                await anext(stream)
            await stream.aclose()
        await settled(made)


@conversation
async def test_a_drained_worker_ends_what_it_has_and_leaves() -> None:
    async with (
        controller() as scene,
        crew(scene, "text", emulation=STEADY) as made,
        AsyncClient(scene.endpoint) as client,
    ):
        stream = client.stream("Hello", max_tokens=50, seed=1)
        await anext(stream)
        made.agents[0].leave()
        assert tuple((await stream.rest()).token_ids) == tokens(1, range(50))
        await made.lives[0]


@conversation
async def test_who_leaves_at_once_is_replaced() -> None:
    async with (
        controller() as scene,
        crew(scene, "text", emulation=STEADY) as made,
        AsyncClient(scene.endpoint) as client,
    ):
        stream = client.stream("Hello", max_tokens=50, seed=1)
        await anext(stream)
        await made.join("text")
        made.lives[0].cancel()
        answer = await stream.rest()
        assert tuple(answer.token_ids) == tokens(1, range(50))
        assert timing(answer).runs == 2


@conversation
async def test_out_of_blocks_the_youngest_make_way_and_come_back() -> None:
    few = Emulation(STEADY.costs, kv_blocks=24)
    async with (
        controller() as scene,
        crew(scene, "text", emulation=few) as made,
        AsyncClient(scene.endpoint) as client,
    ):
        asked = [
            client.generate(token_ids=[7] * 20, max_tokens=100, seed=seed, ignore_eos=True)
            for seed in range(8)
        ]
        answers = await asyncio.gather(*asked)
        assert [tuple(one.token_ids) for one in answers] == [
            tokens(seed, range(100)) for seed in range(8)
        ]
        assert sum(timing(one).runs for one in answers) > len(answers)
        await settled(made)


@conversation
async def test_what_decodes_goes_on_under_the_next_controller(tmp_path: Path) -> None:
    async with (
        controller(journal=tmp_path) as scene,
        crew(scene, "text", emulation=STEADY),
        AsyncClient(scene.endpoint) as client,
    ):
        stream = client.stream("Hello", max_tokens=300, seed=2)
        await anext(stream)
        await scene.succeed()
        answer = await stream.rest()
        assert tuple(answer.token_ids) == tokens(2, range(300))
        assert timing(answer).runs == 1


@conversation
async def test_a_worker_takes_other_stages_when_it_is_asked() -> None:
    async with (
        controller() as scene,
        crew(scene, "encode", "encode", emulation=STEADY),
        AsyncClient(scene.endpoint) as client,
    ):
        asker = scene.client()
        asker.say(say.SetStages(1, TOKEN, "encode-1", ("text",)))
        answer = await client.generate("What is this?", [PICTURE], max_tokens=3, seed=4)
        assert tuple(answer.token_ids) == tokens(4, range(3))


@conversation
async def test_the_wrong_token_is_a_sentence() -> None:
    async with controller() as scene, crew(scene) as made:
        stranger = made.stranger("text")
        with pytest.raises(Unwanted, match="expected this controller's token"):
            await stranger.run()


@conversation
async def test_hundreds_of_requests_pass_through_eight_split_workers() -> None:
    async with (
        controller(Limits(timeout_s=60.0)) as scene,
        crew(scene, *SPLIT) as made,
        AsyncClient(scene.endpoint) as one,
        AsyncClient(scene.endpoint) as other,
    ):
        begun = time.monotonic()
        answers = await asyncio.gather(
            *(
                (one, other)[n % 2].generate(
                    f"Question {n}?", [PICTURE] if n % 4 == 0 else [], max_tokens=8, seed=n
                )
                for n in range(400)
            )
        )
        took = time.monotonic() - begun
        for seed, answer in enumerate(answers):
            assert tuple(answer.token_ids) == tokens(seed, range(8))
        assert took < 30.0
        await settled(made)
