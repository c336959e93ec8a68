"""Who has how much to do, by the cost models."""

from __future__ import annotations

import pytest

from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import MODELS, model
from modserve.scheduler.workload.arrivals import Arrival
from modserve.simulator.layout import divide, write_layout
from modserve.simulator.splitting import ByWork, work_of

A100 = gpu("a100")
TEXT = Arrival(0.0, 800, 100)
IMAGE = Arrival(0.0, 300, 80, ((560, 560),))
BY_WORK = ByWork(text_tp=4, encode_tp=1)


def encode_share(name: str, arrivals: list[Arrival]) -> float:
    return work_of(model(name), A100, arrivals, encode_tp=1, text_tp=4).encode_share


@pytest.mark.parametrize("name", MODELS)
def test_encoders_get_more_where_there_are_more_images(name: str) -> None:
    shares = [encode_share(name, [TEXT] * 10 + [IMAGE] * count) for count in (0, 1, 10, 100)]
    assert shares == sorted(shares)
    assert shares[0] == 0
    assert shares[-1] < 1


def test_a_large_language_model_leaves_less_for_the_same_tower() -> None:
    assert encode_share("llama3.2-90b", [IMAGE]) < encode_share("llama3.2-11b", [IMAGE]) / 2


def test_work_is_in_gpu_seconds() -> None:
    one = work_of(model("llama3.2-11b"), A100, [IMAGE], encode_tp=1, text_tp=4)
    many = work_of(model("llama3.2-11b"), A100, [IMAGE] * 7, encode_tp=1, text_tp=4)
    assert many.encode == pytest.approx(7 * one.encode)
    assert many.text == pytest.approx(7 * one.text)
    assert 0.05 < one.encode < 0.5 < one.text + 0.4 < 2


def test_a_workload_without_images_leaves_encoders_the_least() -> None:
    shares = BY_WORK.shares(model("llama3.2-11b"), A100, [TEXT])
    assert write_layout(divide(16, shares)) == "text=3@4,encode=4@1"  # four of text take sixteen


def test_only_so_many_requests_are_looked_at() -> None:
    def endless() -> object:
        while True:
            yield TEXT

    assert BY_WORK.shares(model("llama3.2-11b"), A100, endless())  # type: ignore[arg-type]
