"""Derived costs: what must hold of every model, GPU and number of ranks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modserve.scheduler.costs.costs import Costs
from modserve.scheduler.costs.encode import EncodeCost
from modserve.scheduler.costs.gpus import GPUS, Gpu, Link, gpu
from modserve.scheduler.costs.models import MODELS, model
from modserve.scheduler.costs.roofline import (
    derive,
    encode_cost,
    kv_tokens,
    link_cost,
    prompt_work,
    text_cost,
)
from modserve.scheduler.costs.spec import ModelSpec
from modserve.scheduler.costs.text import TextCost, TextWork

SPECS = some.sampled_from(sorted(MODELS)).map(model)
CARDS = some.sampled_from(sorted(GPUS)).map(gpu)
RANKS = some.sampled_from([1, 2, 4])  # all six models have heads for these
A100 = gpu("a100")
CARDS_BY_AGE = [gpu(name) for name in ("a100", "h100", "h200")]


def parts(costs: Costs) -> tuple[EncodeCost, TextCost]:
    assert costs.encode is not None and costs.text is not None
    return costs.encode, costs.text


def test_a_replica_has_all_costs_and_its_tower_its_own_number_of_gpus() -> None:
    costs = derive(model("llama3.2-11b"), A100, 4, encode_tp=1, link=Link.INFINIBAND)
    encode, text = parts(costs)
    assert costs.preprocess is not None
    assert encode == encode_cost(model("llama3.2-11b"), A100, 1)
    assert text == text_cost(model("llama3.2-11b").language, A100, 4)
    assert costs.link == link_cost(A100, Link.INFINIBAND)


@given(SPECS, CARDS, RANKS, some.integers(1, 20_000), some.integers(1, 20_000))
def test_more_tokens_never_take_less_time(
    spec: ModelSpec, card: Gpu, tp: int, tokens: int, further: int
) -> None:
    text, encode = text_cost(spec.language, card, tp), encode_cost(spec, card, tp)
    more = tokens + further
    assert text.seconds(TextWork([(0, more)])) > text.seconds(TextWork([(0, tokens)]))
    assert text.seconds(TextWork((), 1, more)) > text.seconds(TextWork((), 1, tokens))
    assert encode.seconds(more) > encode.seconds(tokens)


@given(SPECS, CARDS, some.integers(512, 20_000))
def test_twice_the_gpus_prefill_a_long_prompt_faster_but_not_twice_as_fast(
    spec: ModelSpec, card: Gpu, tokens: int
) -> None:
    took = [text_cost(spec.language, card, tp).seconds(TextWork([(0, tokens)])) for tp in (1, 2, 4)]
    assert all(less < more < 2 * less for more, less in pairwise(took))


@given(SPECS, CARDS, some.integers(1, 64), some.integers(0, 200_000))
def test_twice_the_gpus_are_never_slower_at_decoding(
    spec: ModelSpec, card: Gpu, decodes: int, context: int
) -> None:
    work = TextWork((), decodes, context)
    took = [text_cost(spec.language, card, tp).seconds(work) for tp in (2, 4)]
    assert took[1] < took[0]


@given(SPECS, RANKS, some.integers(1, 20_000))
def test_a_newer_gpu_is_never_slower(spec: ModelSpec, tp: int, tokens: int) -> None:
    for work in (TextWork([(0, tokens)]), TextWork((), 8, tokens)):
        a100, h100, h200 = (text_cost(spec.language, one, tp).seconds(work) for one in CARDS_BY_AGE)
        assert a100 > h100 >= h200


def test_a_small_tower_gains_little_beyond_four_gpus_and_a_large_one_more() -> None:
    def gain(name: str, tokens: int) -> float:
        four, eight = (encode_cost(model(name), A100, tp).seconds(tokens) for tp in (4, 8))
        return four / eight

    assert 1.0 < gain("llava-ov-7b", 7290) < 1.2
    assert gain("llava-ov-7b", 7290) < gain("llama3.2-11b", 6404) < gain("nvlm-d-72b", 1280) < 1.5


def test_heads_that_do_not_divide_are_filled_up_in_the_tower_alone() -> None:
    assert encode_cost(model("internvl-26b"), A100, 8).token_s > 0
    with pytest.raises(
        ValueError, match=r"^expected a number of GPUs that divides 28 heads, got 8$"
    ):
        text_cost(model("llava-ov-7b").language, A100, 8)


@pytest.mark.parametrize("tp", [0, -1])
def test_no_gpus_are_a_sentence(tp: int) -> None:
    spec = model("llava-ov-7b")
    sentence = rf"^expected at least 1 GPU for a replica, got {tp}$"
    with pytest.raises(ValueError, match=sentence):
        text_cost(spec.language, A100, tp)
    with pytest.raises(ValueError, match=sentence):
        encode_cost(spec, A100, tp)


def test_weights_that_do_not_fit_are_a_sentence() -> None:
    sentence = (
        r"^expected weights of llama3\.2-90b that fit on 2 a100, got 88 GB for each GPU of 80 GB$"
    )
    with pytest.raises(ValueError, match=sentence):
        derive(model("llama3.2-90b"), A100, 2)


def test_kv_fills_what_the_weights_leave() -> None:
    spec = model("internvl-26b")
    one, two = (kv_tokens(spec, A100, tp) for tp in (1, 2))
    assert 0 < one < two / 2
    left = 0.9 * 80e9 - spec.text_bytes
    assert one == int(left / spec.language.kv_bytes)


def test_kv_heads_fewer_than_ranks_are_copied() -> None:
    language = model("nvlm-d-72b").language
    reads = [text_cost(language, A100, tp).context_s for tp in (8, 16)]
    assert reads[0] == reads[1]


def test_an_image_is_text_to_a_decoder_and_little_to_cross_attention() -> None:
    assert prompt_work(model("llava-ov-7b"), 100, 7371) == TextWork([(0, 7471)])
    spec = model("llama3.2-11b")
    beside = prompt_work(spec, 100, 6404)
    assert 100 < beside.rows < 160
    language = spec.language
    flops = beside.rows * language.token_flops
    assert flops == pytest.approx(
        100 * language.token_flops + 6404 * language.image_row_flops, rel=0.01
    )
    seen = 100 * 6404 * 4 * language.heads * language.head_dim * language.cross_layers
    own = TextWork([(0, beside.rows)]).pairs * language.pair_flops
    assert beside.pairs * language.pair_flops - own == pytest.approx(
        seen * beside.rows / 100, rel=0.01
    )


def test_the_links_carry_an_embedding_in_what_the_paper_says() -> None:
    """ModServe, section 5.5: at the 99th percentile 5 ms over InfiniBand, of a request's images."""
    size = model("llama3.2-11b").embedding_bytes(6404)
    assert 1e-3 < link_cost(A100, Link.INFINIBAND).seconds(size) < 5e-3
    assert link_cost(A100, Link.NVLINK).seconds(size) < 0.5e-3
