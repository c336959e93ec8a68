"""What cannot be served is refused in one clear sentence, and disturbs nobody else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import zmq

from modserve.client import AsyncClient, BadInput, ModserveError, Refused, RequestFailed
from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.channels import Dealer

from .asking import answer, answers, mixed_asks, png, run, text_asks
from .cluster import ENCODE_TEXT, SPLIT, TEXT, Cluster, until
from .conftest import Clusters
from .crowds import Crowd, crowd, undisturbed
from .references import Ask, Reference, user

pytestmark = pytest.mark.slow

Bad = Callable[[AsyncClient], Coroutine[Any, Any, Any]]

PICTURE = png(60, 50, 0)
IN_THE_CLIENT: dict[str, tuple[Bad, str]] = {
    "no bytes": (lambda c: c.generate("What?", [b""]), "got no bytes"),
    "no tokens": (lambda c: c.generate("Hi", max_tokens=0), "max_tokens"),
    "NaN": (lambda c: c.generate("Hi", temperature=float("nan")), "temperature"),
    "no prompt": (lambda c: c.generate(), "prompt"),
}
AT_THE_SERVER: dict[str, tuple[Bad, str, str]] = {
    "no image": (lambda c: c.generate("What?", [b"not an image"]), "image", "image 0"),
    "half an image": (lambda c: c.generate("What?", [PICTURE[:20]]), "image", "image 0"),
    "an empty prompt": (lambda c: c.generate(""), "empty_prompt", "prompt"),
    "a prompt too long": (lambda c: c.generate("Hi " * 9000), "too_long", "4096"),
    "an unknown token": (lambda c: c.generate(token_ids=[10**6]), "token_ids", "1000000"),
    "too many images": (lambda c: c.generate("What?", [PICTURE] * 65), "images", "65"),
    "an image too few": (
        lambda c: c.generate(images=[PICTURE], token_ids=[5]),
        "images",
        "1 image",
    ),
    "an endless wait": (lambda c: c.generate("Hi", timeout_s=1e6), "parameter", "timeout_s"),
}


def one_sentence(error: BaseException) -> str:
    text = str(error)
    assert text, error
    assert "\n" not in text, text
    assert "Traceback" not in text, text
    return text


async def _amid_good_ones(cluster: Cluster, reference: Reference, bad: Bad) -> ModserveError:
    """The error of a bad request while eight good ones run, which must not notice."""
    asks = mixed_asks(24) if reference.image_token is not None else text_asks(24)
    async with cluster.client() as client:
        good = asyncio.create_task(answers(client, asks, reference))
        with pytest.raises(ModserveError) as raised:
            await bad(client)
        for got, ask in zip(await good, asks, strict=True):
            assert got.token_ids == reference.tokens(ask)
        one_sentence(raised.value)
        return raised.value


@pytest.mark.parametrize("name", IN_THE_CLIENT)
def test_what_makes_no_request_is_not_sent(
    clusters: Clusters, reference_of: Callable[[str], Reference], name: str
) -> None:
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, SPLIT)
    bad, expected = IN_THE_CLIENT[name]

    async def body() -> None:
        error = await _amid_good_ones(cluster, reference, bad)
        assert isinstance(error, BadInput)
        assert expected in str(error)

    run(body())


@pytest.mark.parametrize("name", AT_THE_SERVER)
def test_a_bad_request_is_refused(
    clusters: Clusters, reference_of: Callable[[str], Reference], name: str
) -> None:
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, SPLIT)
    bad, code, expected = AT_THE_SERVER[name]

    async def body() -> None:
        error = await _amid_good_ones(cluster, reference, bad)
        assert isinstance(error, Refused)
        assert error.code == code
        assert expected in str(error)

    run(body())


@pytest.mark.parametrize("checkpoint", ["llava", "mllama"])
def test_a_truncated_image_fails_its_request_alone(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str
) -> None:
    """Its header is whole: only who decodes the pixels can see it."""
    reference = reference_of(checkpoint)
    cluster = clusters.get(reference.folder, SPLIT)

    async def body() -> None:
        error = await _amid_good_ones(
            cluster, reference, lambda c: c.generate("What?", [PICTURE, PICTURE[:-300]])
        )
        assert isinstance(error, RequestFailed)
        assert "truncated" in str(error)

    run(body())


def test_an_image_for_a_text_model_is_refused(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llama")
    cluster = clusters.get(reference.folder, TEXT)

    async def body() -> None:
        error = await _amid_good_ones(cluster, reference, lambda c: c.generate("?", [PICTURE]))
        assert isinstance(error, Refused)
        assert "1 image" in str(error)

    run(body())


@pytest.mark.parametrize(("checkpoint", "word"), [("llava", "<image>"), ("mllama", "<|image|>")])
def test_a_typed_placeholder_stays_text(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str, word: str
) -> None:
    """As if transformers' tokenizer had been told to take the user's words as words alone."""
    reference = reference_of(checkpoint)
    cluster = clusters.get(reference.folder, ENCODE_TEXT)
    typed = f"Say {word} and <|im_end|> twice."
    for images in ((), ((60, 50, 0),)):
        marker = Ask(chat=(user("MARKER", len(images)),), images=images)
        before, after = reference.text(marker).split("MARKER")
        ids = [
            *reference.tokenizer(before, add_special_tokens=False)["input_ids"],
            *reference.tokenizer(typed, add_special_tokens=False, split_special_tokens=True)[
                "input_ids"
            ],
            *reference.tokenizer(after, add_special_tokens=False)["input_ids"],
        ]
        assert ids.count(reference.image_token or 0) == len(images)
        ask = replace(marker, chat=(user(typed, len(images)),))

        async def body() -> None:
            async with cluster.client() as client:
                got = await answer(client, ask, reference)  # noqa: B023
            assert got.token_ids == reference.after(ids, images, 16)  # noqa: B023

        run(body())


# Peers that are not what they should be.


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"token": "guessed"}, "token"),
        ({"stages": "sing"}, "sing"),
        ({"stages": "all,sing"}, "sing"),
    ],
    ids=["a wrong token", "an unknown stage", "one of two stages unknown"],
)
def test_a_worker_that_does_not_belong_ends_with_one_sentence(
    clusters: Clusters,
    reference_of: Callable[[str], Reference],
    options: dict[str, Any],
    expected: str,
) -> None:
    cluster = clusters.get(reference_of("llava").folder, SPLIT)
    process = cluster.begin(**{"stages": "text", **options})
    reason = process.event("ready", "error")["reason"]
    assert expected in reason
    assert "\n" not in reason
    assert process.ended() == 1
    assert "Traceback" not in process.log


def test_a_worker_of_another_protocol_is_denied(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    cluster = clusters.get(reference_of("llava").folder, SPLIT)
    hello = say.Hello(
        protocol=say.PROTOCOL + 1,
        token=cluster.token or "",
        epoch=1,
        name="",
        stages=("text",),
        host="here",
        pid=1,
        device="cpu",
        dtype="auto",
        cores=1,
        threads=1,
        log="",
    )

    async def body() -> None:
        heard: list[say.ToWorker] = []
        dealer = Dealer(
            cluster.endpoint, lambda frames: heard.extend(codec.to_worker(frames[0].bytes))
        )
        dealer.send(codec.encode(hello))

        async def answered() -> bool:
            return bool(heard)

        await until(answered, "an answer to the Hello")
        dealer.close()
        assert isinstance(heard[0], say.Denied)
        assert f"expected protocol {say.PROTOCOL}" in heard[0].reason

    run(body())


@pytest.mark.parametrize("wrong", ["a file cut short", "a file missing"])
def test_a_model_folder_that_is_half_written_ends_the_worker_with_one_sentence(
    clusters: Clusters, reference_of: Callable[[str], Reference], tmp_path: Path, wrong: str
) -> None:
    folder = copytree(reference_of("llava").folder, tmp_path / "model")
    cluster = clusters.fresh(folder, ())
    weights = folder / "model.safetensors"
    if wrong == "a file missing":
        weights.unlink()
    else:
        weights.write_bytes(weights.read_bytes()[:-5000])
    process = cluster.begin("text")
    told = process.event("ready", "error")
    assert "model.safetensors" in told["reason"]
    assert "\n" not in told["reason"]
    assert process.ended() == 1
    assert "Traceback" not in process.log


def test_an_answer_that_is_over_does_not_go_on_and_harms_nobody(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    """Whoever says that its own stop token was emitted already gets one sentence."""
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, TEXT)
    asks = crowd(images=False)
    ended: list[say.Ended] = []

    def hear(frames: list[zmq.Frame]) -> None:
        words = codec.to_client(frames[0].bytes)
        ended.extend(word for word in words if isinstance(word, say.Ended))

    async def over() -> bool:
        return bool(ended)

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming()
                dealer = Dealer(cluster.endpoint, hear)
                sampling = say.Sampling(max_tokens=8, stop_token_ids=(5,))
                word = say.Submit("over", sampling, token_ids=(1, 2, 3), emitted=(4, 5))
                dealer.send(codec.encode(word))
                await until(over, "the end of that request")
                answers = await flight.answers()
                dealer.close()
            assert [one.token_ids for one in answers] == expected
            assert {one.timing.runs for one in answers if one.timing} == {1}
        assert ended[0].finish_reason == "error"
        assert "an answer that ended" in (ended[0].error or "")

    run(body())
