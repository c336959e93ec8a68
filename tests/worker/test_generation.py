"""Token equality with transformers' `generate`: float32, greedy, both families."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from modserve.transport.messages import Sampling
from modserve.worker.text.blocks import NoRoom
from modserve.worker.text.generation import TextStage

from ..checkpoints import make_llama, make_llava_onevision, make_mllama, make_qwen2
from .text_requests import (
    IMAGE,
    Checkpoint,
    Request,
    admit,
    collect,
    finish,
    named,
    run,
    words,
)

THREE = [(40, 90), (28, 28), (75, 31)]
MODELS: dict[str, tuple[Callable[..., Path], dict[str, Any]]] = {
    "qwen2": (make_qwen2, {}),
    "qwen2 tied, one head per KV head": (
        make_qwen2,
        {"tie_word_embeddings": True, "num_key_value_heads": 4},
    ),
    "llama": (make_llama, {"num_key_value_heads": 1}),
    "llava_onevision": (make_llava_onevision, {}),
    "llava_onevision tied": (make_llava_onevision, {"tie_word_embeddings": True}),
    "mllama": (make_mllama, {}),
    "mllama, one head per KV head": (make_mllama, {"num_key_value_heads": 4, "tiles": 3}),
}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Checkpoint]]:
    """Made when first asked for."""

    class Made(dict[str, Checkpoint]):
        def __missing__(self, name: str) -> Checkpoint:
            make, overrides = MODELS[name]
            self[name] = Checkpoint(make(tmp_path_factory.mktemp("model"), **overrides))
            return self[name]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield Made()
    torch.set_num_threads(threads)


@pytest.fixture(params=list(MODELS))
def model(request: pytest.FixtureRequest, checkpoints: dict[str, Checkpoint]) -> Checkpoint:
    return checkpoints[request.param]


@pytest.fixture(params=["llava_onevision", "mllama"])
def seeing(request: pytest.FixtureRequest, checkpoints: dict[str, Checkpoint]) -> Checkpoint:
    return checkpoints[request.param]


def one_image(model: Checkpoint) -> Request:
    return model.request([*words(5, 1), IMAGE, *words(9, 2)], [(70, 44)])


def three_images(model: Checkpoint) -> Request:
    pattern = [*words(3, 3), IMAGE, *words(7, 4), IMAGE, IMAGE, *words(5, 5)]
    return model.request(pattern, THREE)


def mixed(model: Checkpoint) -> list[Request]:
    """Eight requests, half of them with pictures."""
    requests = [
        one_image(model),
        model.request(words(40, 6)),
        three_images(model),
        model.request(words(3, 7), tokens=20),
        model.request([IMAGE, *words(12, 8)], [(28, 28)]),
        model.request(words(90, 9), tokens=5),
        model.request([IMAGE, IMAGE, IMAGE], [(28, 60), (60, 28), (50, 50)]),
        model.request(words(17, 10), tokens=1),
    ]
    return [named(request, str(number), number) for number, request in enumerate(requests)]


def expected(requests: Sequence[Request]) -> dict[str, tuple[int, ...]]:
    return {request.task.request_id: request.expected for request in requests}


def assert_clean(stage: TextStage) -> None:
    stage.pool.tables.check()
    assert stage.pool.tables.used == 0
    assert stage.sequences == {}


@pytest.mark.parametrize("step_tokens", [512, 7])
def test_text_alone_continues_as_in_transformers(model: Checkpoint, step_tokens: int) -> None:
    stage = model.stage(step_tokens=step_tokens)
    requests = [named(model.request(words(50)), "a"), named(model.request(words(9, 1)), "b", 1)]
    assert run(stage, requests) == expected(requests)
    assert_clean(stage)


@pytest.mark.parametrize("step_tokens", [512, 7])
def test_one_image_continues_as_in_transformers(seeing: Checkpoint, step_tokens: int) -> None:
    stage = seeing.stage(step_tokens=step_tokens)
    request = named(one_image(seeing), "a")
    assert run(stage, [request]) == {"a": request.expected}
    assert_clean(stage)


@pytest.mark.parametrize("step_tokens", [512, 7])
def test_three_images_of_different_shapes_continue_as_in_transformers(
    seeing: Checkpoint, step_tokens: int
) -> None:
    stage = seeing.stage(step_tokens=step_tokens)
    request = named(three_images(seeing), "a")
    assert run(stage, [request]) == {"a": request.expected}
    assert_clean(stage)


@pytest.mark.slow
@pytest.mark.parametrize("step_tokens", [512, 32])
@pytest.mark.parametrize("name", [name for name in MODELS if "llava" in name or "mllama" in name])
def test_eight_mixed_requests_at_once_continue_as_each_alone(
    checkpoints: dict[str, Checkpoint], name: str, step_tokens: int
) -> None:
    model = checkpoints[name]
    stage = model.stage(step_tokens=step_tokens)
    requests = mixed(model)
    assert run(stage, requests) == expected(requests)
    assert_clean(stage)


def test_images_change_what_is_said(seeing: Checkpoint) -> None:
    """Else the equalities above would hold for a model that ignores its pictures."""
    pattern = [IMAGE, *words(9, 2)]
    said = {seeing.request(pattern, [size]).expected for size in [(70, 44), (44, 70), (30, 30)]}
    assert len(said) == 3


def test_prefill_stops_in_front_of_an_image_that_has_not_landed(
    checkpoints: dict[str, Checkpoint],
) -> None:
    model = checkpoints["llava_onevision"]
    request = named(three_images(model), "a")
    stage = model.stage()
    stage.admit(request.task)
    chunks = []
    for index, span in enumerate(request.task.spans):
        chunks += [progress.chunk for progress in stage.step().progress]
        assert stage.step().idle
        assert stage.sequences["a"].computed == span.start if index != 2 else True
        stage.land("a", index, request.embeddings[index])
    assert chunks[0] == (0, request.task.spans[0].start)
    assert finish(stage) == {"a": request.expected}


def test_cross_attention_computes_nothing_before_all_images_have_landed(
    checkpoints: dict[str, Checkpoint],
) -> None:
    model = checkpoints["mllama"]
    request = named(three_images(model), "a")
    stage = model.stage()
    stage.admit(request.task)
    for index in (2, 0, 1):
        assert stage.step().idle
        stage.land("a", index, request.embeddings[index])
    assert finish(stage) == {"a": request.expected}


@pytest.mark.parametrize("step_tokens", [512, 7])
@pytest.mark.parametrize("name", ["qwen2", "llava_onevision", "mllama"])
def test_a_request_handed_over_after_prefill_says_the_same(
    checkpoints: dict[str, Checkpoint], name: str, step_tokens: int
) -> None:
    model = checkpoints[name]
    near, far = model.stage(step_tokens=step_tokens), model.stage(block_size=4)
    text = model.request(words(30, 11))
    request = named(text if name == "qwen2" else three_images(model), "a", hand_over=True)
    admit(near, request)
    far.adopt(replace(request.task, hand_over=False))
    emitted: list[int] = []
    while not emitted:
        (progress,) = near.step().progress
        assert progress.chunk is not None
        far.import_kv("a", progress.chunk[0], near.export_kv("a", *progress.chunk))
        if progress.prefilled:
            assert progress.token_id is not None
            emitted.append(progress.token_id)
    assert near.step().idle
    near.drop("a")
    assert_clean(near)
    far.begin("a", emitted)
    assert (*emitted, *finish(far)["a"]) == request.expected
    assert_clean(far)


@pytest.mark.parametrize("name", ["qwen2", "llava_onevision", "mllama"])
def test_a_rerun_continues_from_what_was_emitted(
    checkpoints: dict[str, Checkpoint], name: str
) -> None:
    model = checkpoints[name]
    request = named(model.request(words(30, 11)) if name == "qwen2" else one_image(model), "a")
    before = request.expected[:5]
    again = named(request, "a", token_ids=(*request.task.token_ids, *before))
    assert run(model.stage(step_tokens=16), [again]) == {"a": request.expected[5:]}


def test_a_drawn_continuation_is_the_same_alone_in_a_batch_and_after_a_rerun(
    checkpoints: dict[str, Checkpoint],
) -> None:
    model = checkpoints["llava_onevision"]
    drawn = Sampling(max_tokens=12, temperature=1.0, seed=7, ignore_eos=True)
    request = named(one_image(model), "drawn", 9, sampling=drawn)
    alone = run(model.stage(), [request])["drawn"]
    assert alone != request.expected
    assert run(model.stage(step_tokens=32), [*mixed(model), request])["drawn"] == alone
    again = named(request, "drawn", token_ids=(*request.task.token_ids, *alone[:6]))
    assert run(model.stage(), [again])["drawn"] == alone[6:]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["qwen2", "llava_onevision", "mllama"])
def test_preempted_requests_say_the_same_and_all_end(
    checkpoints: dict[str, Checkpoint], name: str
) -> None:
    """Blocks for little more than one request: the youngest gives way, is run again, ends."""
    model = checkpoints[name]
    text = [model.request(words(10 + number, number), tokens=30) for number in range(4)]
    if name != "qwen2":
        text[1] = model.request([*words(4), IMAGE], [(28, 28)], tokens=30)
    requests = {str(n): named(request, str(n), n) for n, request in enumerate(text)}
    largest = max(request.task.longest for request in requests.values())
    stage = model.stage(blocks=largest // 4 + 4, block_size=4)
    said: dict[str, list[int]] = {}
    waiting = list(requests)
    preemptions = 0
    for _ in range(2000):
        while waiting:
            request = requests[waiting[0]]
            emitted = said.get(waiting[0], [])
            rerun = named(
                request,
                waiting[0],
                request.task.order,
                token_ids=(*request.task.token_ids, *emitted),
            )
            try:
                admit(stage, rerun)
            except NoRoom:
                break
            waiting.pop(0)
        result = stage.step()
        stage.pool.tables.check()
        collect(result, said)
        preemptions += len(result.preempted)
        waiting += result.preempted
        if result.idle:
            break
    assert preemptions > 0
    assert {key: tuple(tokens) for key, tokens in said.items()} == expected(list(requests.values()))
    assert_clean(stage)


def test_a_dropped_request_frees_everything_and_the_others_go_on(seeing: Checkpoint) -> None:
    stage = seeing.stage(step_tokens=16)
    requests = mixed(seeing)
    for request in requests:
        admit(stage, request)
    said: dict[str, list[int]] = {}
    for _ in range(4):
        collect(stage.step(), said)
    for name in ("0", "2", "5"):
        stage.drop(name)
        stage.drop(name)
        said.pop(name, None)
    stage.pool.tables.check()
    while not (result := stage.step()).idle:
        collect(result, said)
    kept = [request for request in requests if request.task.request_id not in ("0", "2", "5")]
    assert {name: tuple(tokens) for name, tokens in said.items()} == expected(kept)
    assert_clean(stage)


def test_a_request_that_can_never_fit_is_refused_with_both_numbers(
    checkpoints: dict[str, Checkpoint],
) -> None:
    model = checkpoints["qwen2"]
    stage = model.stage(blocks=3, block_size=4)
    task = named(model.request(words(8), tokens=6), "a").task
    with pytest.raises(NoRoom, match="a: expected at most 3 KV blocks for 13 tokens, got 4"):
        stage.admit(task)
    assert_clean(stage)


def test_warm_up_leaves_the_pool_clean_however_small_it_is(
    checkpoints: dict[str, Checkpoint],
) -> None:
    for blocks in (1, 8, 256):
        stage = checkpoints["mllama"].stage(blocks=blocks)
        stage.warm_up()
        assert_clean(stage)


@pytest.mark.parametrize(("threads", "measured"), [(1, 1), (2, 2)])
def test_steps_are_timed_for_somebody_beside_where_they_differ(
    checkpoints: dict[str, Checkpoint], threads: int, measured: int
) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        stage = checkpoints["qwen2"].stage()
        stage.warm_up()
    finally:
        torch.set_num_threads(before)
    alone = stage.pace
    stage.beside = True
    assert min(alone.token_s, alone.decode_s, stage.pace.token_s, stage.pace.decode_s) > 0
    assert len({alone.token_s, stage.pace.token_s}) == measured
    alone.forget()
    assert stage.pace.token_s > 0, "what is measured from here on is each one's own"


def test_decodes_rest_beside_somebody_until_their_tokens_are_due(
    checkpoints: dict[str, Checkpoint],
) -> None:
    model = checkpoints["qwen2"]
    stage = model.stage()
    stage.warm_up()
    patient = replace(named(model.request(words(50)), "a").task, tpot_s=10.0)
    stage.admit(patient)
    stage.beside = True
    assert stage.rest_s() == 0.0, "a prompt waits"
    stage.step()
    assert 0.0 < stage.rest_s() <= 2.5
    hurried = replace(named(model.request(words(5)), "b").task, tpot_s=1e-6)
    stage.admit(hurried)
    stage.step()
    assert stage.rest_s() == 0.0, "one of them is in a hurry"
    stage.drop("b")
    stage.beside = False
    assert stage.rest_s() == 0.0, "nobody wants the cores"


def test_an_end_token_ends_the_request_and_counts_as_said(
    checkpoints: dict[str, Checkpoint],
) -> None:
    model = checkpoints["qwen2"]
    request = named(model.request(words(50)), "a")
    third = request.expected[2]
    stage = model.stage()
    stage.eos_ids = frozenset({third})
    stage.admit(replace(request.task, sampling=Sampling(max_tokens=12, seed=0)))
    reasons = []
    while not (result := stage.step()).idle:
        reasons += [progress.finish_reason for progress in result.progress]
    assert reasons == [None] * request.expected.index(third) + ["stop"]
    assert_clean(stage)


def test_a_decode_without_all_of_its_kv_is_refused(checkpoints: dict[str, Checkpoint]) -> None:
    model = checkpoints["qwen2"]
    stage = model.stage()
    task = named(model.request(words(8)), "a").task
    stage.adopt(task)
    with pytest.raises(ValueError, match="a: expected KV of 8 tokens before decoding, got 0"):
        stage.begin("a", [5])
