"""The prefix cache: what counts as the same beginning, and the same tokens with it as without."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.worker.text.generation import TextStage
from modserve.worker.text.prefixes import Key, keys_of
from modserve.worker.text.text_work import Span

from .test_generation import (  # noqa: F401 - its fixtures
    assert_clean,
    checkpoints,
    expected,
    mixed,
    model,
    one_image,
    seeing,
    three_images,
)
from .text_requests import Checkpoint, Request, admit, finish, named, run, words

SIZE = 4


def keys(tokens: Sequence[int], *spans: Span, seeing_all: bool = False) -> list[Key]:
    return keys_of(tokens, spans, SIZE, seeing_all=seeing_all)


def common(one: Sequence[Key], other: Sequence[Key]) -> int:
    return sum(a == b for a, b in zip(one, other, strict=False))


@given(
    st.lists(st.integers(0, 9), max_size=40), st.lists(st.integers(0, 9), max_size=40), st.data()
)
def test_keys_agree_as_far_as_whole_blocks_of_tokens_do(
    start: list[int], end: list[int], data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(start)))
    one, other = keys(start), keys(start[:cut] + end)
    same = next(
        (at for at, (a, b) in enumerate(zip(start, start[:cut] + end, strict=False)) if a != b),
        min(len(start), cut + len(end)),
    )
    assert len(one) == len(start) // SIZE
    assert common(one, other) == same // SIZE


def test_keys_continue_where_they_were_left() -> None:
    tokens = list(range(30))
    span = Span(5, 9, 0, key="x")
    first = keys_of(tokens[:13], [span], SIZE)
    assert keys_of(tokens, [span], SIZE, after=first) == keys(tokens, span)


def test_an_image_is_its_content_and_its_place() -> None:
    tokens = [1, 2, 3, *[7] * 8, 4, 5, 6, 7, 8]
    here = keys(tokens, Span(3, 8, 0, key="x"))
    assert keys(tokens, Span(3, 8, 5, key="x")) == here, "its number in the request is not"
    for other in (
        keys(tokens, Span(3, 8, 0, key="y")),
        keys(tokens, Span(3, 7, 0, key="x")),
        keys(tokens),
        keys(tokens, Span(2, 8, 0, key="x")),
    ):
        assert common(here, other) == 0
    late = keys(tokens, Span(9, 2, 0, key="x"))
    assert common(late, keys(tokens, Span(9, 2, 0, key="y"))) == 2


def test_nothing_is_shared_behind_an_image_that_nobody_named() -> None:
    assert len(keys(list(range(16)), Span(9, 2, 0))) == 2


def test_where_text_attends_across_all_images_count_from_the_first_token_on() -> None:
    tokens = list(range(16))
    one = keys(tokens, Span(13, 1, 0, tiles=1, key="x"), seeing_all=True)
    assert common(one, keys(tokens, Span(13, 1, 0, tiles=1, key="y"), seeing_all=True)) == 0
    assert common(one, keys(tokens, Span(13, 1, 0, tiles=2, key="x"), seeing_all=True)) == 0
    assert keys(tokens, Span(13, 1, 0, tiles=1), seeing_all=True) == []


def again(requests: Sequence[Request], suffix: str) -> list[Request]:
    return [named(one, f"{one.task.request_id} {suffix}", one.task.order) for one in requests]


@pytest.mark.parametrize(("blocks", "cached"), [(256, 256), (256, 6), (40, 40)])
@pytest.mark.parametrize("step_tokens", [512, 7])
def test_the_same_tokens_with_the_cache_and_while_it_evicts(
    model: Checkpoint,  # noqa: F811
    blocks: int,
    cached: int,
    step_tokens: int,
) -> None:
    stage = model.stage(blocks=blocks, cached_blocks=cached, step_tokens=step_tokens)
    if model.family in ("qwen2", "llama"):
        requests = [named(model.request(words(50)), "a"), named(model.request(words(9)), "b", 1)]
    else:
        requests = mixed(model)
    dice = Random(1)
    for number in range(3):
        for one in dice.sample(requests, len(requests)):
            (renamed,) = again([one], str(number))
            assert run(stage, [renamed]) == expected([renamed])
            stage.pool.tables.check()
            assert stage.pool.tables.spared <= cached
    assert stage.prefixes.found_tokens > 0
    assert_clean(stage)


def test_what_begins_the_same_is_computed_once(model: Checkpoint) -> None:  # noqa: F811
    stage = model.stage(cached_blocks=256)
    shared = words(64, 3)
    first, second = (named(model.request([*shared, *words(5, n)]), str(n)) for n in (7, 8))
    assert run(stage, [first]) == expected([first])
    admit(stage, second)
    assert stage.sequences["8"].computed == 64
    assert finish(stage) == expected([second])


def test_a_request_that_still_runs_shares_its_prompt(model: Checkpoint) -> None:  # noqa: F811
    stage = model.stage(cached_blocks=256)
    one = named(model.request(words(64, 3)), "a")
    admit(stage, one)
    first = stage.step()
    (other,) = again([one], "again")
    admit(stage, other)
    assert stage.sequences["a again"].computed == 63, "the last token is computed in any case"
    tokens = finish(stage)
    emitted = tuple(progress.token_id for progress in first.progress)
    assert emitted + tokens["a"] == one.expected == tokens["a again"]


def test_an_image_inside_the_known_beginning_is_not_waited_for(
    checkpoints: dict[str, Checkpoint],  # noqa: F811
) -> None:
    model = checkpoints["llava_onevision"]  # noqa: F811
    stage = model.stage(cached_blocks=256)
    one = named(model.request([-1, *words(40, 2)], [(70, 44)]), "a")
    assert run(stage, [one]) == expected([one])
    (other,) = again([one], "again")
    stage.admit(other.task)
    assert stage.sequences["a again"].missing == set()
    assert finish(stage) == expected([other]), "its embedding never came"


def test_other_pictures_of_the_same_size_share_nothing_behind_them(
    seeing: Checkpoint,  # noqa: F811
) -> None:
    stage = seeing.stage(cached_blocks=256)
    one = named(one_image(seeing), "a")
    assert run(stage, [one]) == expected([one])
    spans = tuple(replace(span, key="another") for span in one.task.spans)
    stage.admit(replace(one.task, request_id="b", spans=spans))
    assert stage.sequences["b"].computed < 16
    stage.drop("b")
    assert_clean(stage)


def test_hand_over_begins_with_what_was_known(seeing: Checkpoint) -> None:  # noqa: F811
    """A decode worker elsewhere needs all of the KV."""
    first, second = seeing.stage(cached_blocks=256), seeing.stage()
    for suffix in ("", "again"):
        (request,) = again([named(three_images(seeing), "a", hand_over=True)], suffix)
        second.adopt(replace(request.task, hand_over=False))
        admit(first, request)
        name, out = request.task.request_id, []
        while first.sequences[name].doing.name == "PREFILLING":
            for progress in first.step().progress:
                assert progress.chunk is not None
                second.import_kv(name, progress.chunk[0], first.export_kv(name, *progress.chunk))
                out += [] if progress.token_id is None else [progress.token_id]
        first.drop(name)
        second.begin(name, out)
        assert (*out, *finish(second)[name]) == request.expected
    assert first.prefixes.found_tokens > 0


def test_kv_of_a_failed_step_serves_nobody(model: Checkpoint) -> None:  # noqa: F811
    stage: TextStage = model.stage(cached_blocks=256)
    one = named(model.request(words(64, 3)), "a")
    admit(stage, one)
    stage.step()
    stage.drop("a", sound=False)
    admit(stage, again([one], "again")[0])
    assert stage.sequences["a again"].computed == 0
    assert finish(stage)["a again"] == one.expected
