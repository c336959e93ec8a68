"""What ModServe (SoCC 2025, sections 3.1 and 3.2) measured as shares and ratios on an A100 server,
beside what the roofline derives for it; `pytest -s` prints all, also those that are not reached.

Its text says neither which pictures nor how much text they are of; here a picture of 896 × 896 and
100 tokens of text, each model on the GPUs of its Table 1.
"""

from __future__ import annotations

import pytest

from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import model
from modserve.scheduler.costs.roofline import encode_cost, prompt_work, text_cost

A100 = gpu("a100")
SIDE, TEXT = 896, 100


def encode_s(name: str, tp: int, side: int = SIDE) -> float:
    spec = model(name)
    return encode_cost(spec, A100, tp).seconds(spec.encode_tokens(spec.image(side, side)))


def prefill_s(name: str, tp: int, text: int = TEXT, images: int = 1) -> float:
    spec = model(name)
    rows = images * spec.image_tokens(SIDE, SIDE) if images else 0
    return text_cost(spec.language, A100, tp).seconds(prompt_work(spec, text, rows))


def encode_share(name: str, tp: int) -> float:
    """Of the GPUs' part of the time to the first token."""
    return encode_s(name, tp) / (encode_s(name, tp) + prefill_s(name, tp))


def report(what: str, measured: float, derived: float) -> float:
    print(f"  {what:58} paper {measured:5.2f}  derived {derived:5.2f}")
    return derived


@pytest.mark.parametrize(
    ("name", "tp", "share"), [("llama3.2-11b", 4, 0.79), ("llama3.2-90b", 8, 0.65)]
)
def test_most_of_a_cross_attention_models_first_token_is_encoding(
    name: str, tp: int, share: float
) -> None:
    assert report(f"{name}: share of encoding", share, encode_share(name, tp)) == pytest.approx(
        share, abs=0.15
    )


def test_the_shares_of_the_6b_towers_are_not_reached() -> None:
    """The paper has 0.25 in front of a 20B and 0.54 in front of a 72B language model; with one
    tower and as many image tokens, FLOPs can only order them the other way round."""
    small = report("internvl-26b: share of encoding", 0.25, encode_share("internvl-26b", 8))
    large = report("nvlm-d-72b: share of encoding", 0.54, encode_share("nvlm-d-72b", 8))
    assert 0.2 < large < small < 0.7


def test_a_6b_tower_takes_up_to_ten_times_as_long_as_a_400m_one() -> None:
    ratio = encode_s("internvl-26b", 1) / encode_s("llava-ov-7b", 1)
    assert 6 < report("InternViT-6B / SigLIP-400M", 10, ratio) < 10
    large, small = model("internvl-26b"), model("llava-ov-7b")
    assert 5 * large.tile_flops / (10 * small.tile_flops) == pytest.approx(10, rel=0.1)


def test_a_decoder_only_prefill_is_an_order_of_magnitude_slower() -> None:
    ratio = prefill_s("llava-ov-7b", 4, 500) / prefill_s("llama3.2-11b", 4, 500)
    assert 6 < report("prefill, LLaVA-OV-7B / Llama3.2-11B, 500 tokens", 10, ratio) < 15


def test_a_6b_tower_gains_a_third_from_four_to_eight_gpus() -> None:
    gain = encode_s("nvlm-d-72b", 4) / encode_s("nvlm-d-72b", 8)
    assert report("NVLM-D: encoding on 4 / on 8 GPUs", 1.3, gain) == pytest.approx(1.3, rel=0.1)


def test_llamas_tower_does_not_become_slower_on_eight_gpus_as_it_did_there() -> None:
    gain = encode_s("llama3.2-11b", 4) / encode_s("llama3.2-11b", 8)
    print(f"  {'Llama3.2-11B: encoding on 4 / on 8 GPUs':58} paper <1     derived {gain:5.2f}")
    assert 1 < gain < 1.4


def test_a_cross_attention_prefill_shrinks_as_images_take_the_place_of_text() -> None:
    """16,000 tokens in all, 1,601 for each image."""
    took = [prefill_s("llama3.2-11b", 4, 16_000 - 1601 * images, images) for images in range(10)]
    assert took == sorted(took, reverse=True)
    images_alone = 10 * encode_s("llama3.2-11b", 4) + prefill_s("llama3.2-11b", 4, 1, 10)
    ratio = report("10 images alone / 16,000 tokens of text alone", 1.5, images_alone / took[0])
    assert 0.5 < ratio < 1.5
