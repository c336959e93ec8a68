"""Everything that takes bytes from elsewhere, as functions of bytes that must not raise.

Each target tries one decoder the way its caller does, takes the refusals that it documents, and
asserts what it promises about what it lets in. `tests/test_decoders.py` feeds them some thousand
mutated inputs, `bench/fuzz.py` as many as an hour gives, guided by coverage.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image

import modserve.tiny
from modserve.controller import store
from modserve.controller.config.config import read
from modserve.controller.config.reading import BadConfig
from modserve.controller.preparation import Preparer
from modserve.controller.refusal import Refused
from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.checkpoint import BadCheckpoint, read_facts, read_geometry
from modserve.transport.pictures import BadImage, Limits, measure
from modserve.transport.security import BadKeys, PeerKeys, make
from modserve.worker.preprocessing import upright_rgb

MODEL = Path(modserve.tiny.__file__).parent / "checkpoint"
EXAMPLES = MODEL.parents[1] / "examples"
SMALL = Limits(bytes=1 << 20, pixels=1 << 20)
SPOKEN = ("<image>", "<|im_start|>", "<|im_end|>")


@dataclass(frozen=True)
class Target:
    seeds: Callable[[], Sequence[bytes]]  # inputs that the decoder takes
    run: Callable[[bytes], None]


def _words(data: bytes) -> None:
    for decode in (
        codec.to_controller,
        codec.to_worker,
        codec.to_client,
        codec.deltas,
        codec.between_ports,
    ):
        with suppress(codec.BadFrame):
            word = decode(data)
            assert decode(codec.encode(word)) == word or "nan" in repr(word)


def _some_words() -> list[bytes]:
    sampling = say.Sampling(temperature=0.5, seed=3, stop=("a",), logprobs=2)
    turn = say.Turn("user", (say.ImagePart(0), say.TextPart("What is this?")))
    handle = say.TensorHandle("t", 2**60, 5, (say.Part((3, 4), "float32", 48),))
    delta = say.Delta("r", 1, (7, 8), "ab", (say.TokenLogprobs(-0.5, ((1, -2.0),)),))
    span = say.Span(1, 9, 0, 9, 1, "key")
    words: list[object] = [
        say.Greet(say.PROTOCOL),
        say.Submit("r", sampling, (turn,), timeout_s=3.5, emitted=(1, 2), slo="batch", ttft_ms=0.5),
        say.Shutdown(1, "token", keep=True),
        say.Scale(1, "token", {"text": 2}),
        say.AskEvents(1, 2, 3.5),
        say.AskTrace(1, "r"),
        say.Events(1, (say.Event(2, 3.5, "lost", "w is lost", {"worker": "w", "n": 1}),), 2),
        say.Hello(3, "token", 2**62, "t", ("text",), "host", 1, "cpu", "auto", 4, 1, "log"),
        say.Ready("print", "float32", 9, 9, 9, (say.Held("r", 1, 2, (3,), (delta,), "stop"),)),
        say.Stepped((say.Row("r", 1, 2, True, "stop"),), (1,)),
        say.KvOffer("r", 1, 0, 9, handle, (1,)),
        say.Prefill("r", 1, 2, 3, 4.5, 0.1, (1, 2, 3), 3, (span,), sampling, hand_over=True),
        say.Deltas((delta,)),
        say.Ended(
            "r", "stop", say.Usage(1, 2, 3), say.Timing(None, 1.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 1)
        ),
        say.Want(1, 2, 3, 4, 5, (6, 7), 8),
        say.Meet(1, 2, 3, 0, "key", b"value"),
    ]
    return [codec.encode(word) for word in words]


def _pictures(data: bytes) -> None:
    try:
        promised = measure(data, SMALL)
        image = upright_rgb(data, SMALL)
    except BadImage:
        return
    assert (image.mode, image.size) == ("RGB", (promised.width, promised.height))


def _some_pictures() -> list[bytes]:
    files = [(EXAMPLES / "seven.png").read_bytes()]
    for mode, form in (
        ("RGB", "JPEG"),
        ("CMYK", "JPEG"),
        ("P", "GIF"),
        ("LA", "PNG"),
        ("I;16", "PNG"),
        ("RGBA", "WEBP"),
        ("RGB", "BMP"),
        ("RGB", "TIFF"),
        ("1", "TIFF"),
    ):
        out = io.BytesIO()
        exif = Image.Exif()
        exif[274] = 6  # turned
        image = Image.new(mode, (9, 7))
        image.save(out, form, **({"exif": exif} if form in ("JPEG", "WEBP", "TIFF") else {}))
        files.append(out.getvalue())
    return files


@cache
def _preparer() -> Preparer:
    return Preparer(MODEL, read_geometry(MODEL))


def _prompts(data: bytes) -> None:
    """What somebody types never becomes a special token."""
    role, _, text = data.decode("utf-8", "replace").partition("\n")
    image = say.ImagePart(0)
    try:
        made = _preparer().prepare((say.Turn(role, (image, say.TextPart(text))),), [(64, 64)])
    except Refused:
        return
    plain = _preparer().prepare((say.Turn(role, (image, say.TextPart("a"))),), [(64, 64)])
    assert _specials(made.token_ids) == _specials(plain.token_ids)


@cache
def _special_ids() -> frozenset[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    ids = [tokenizer.token_to_id(word) for word in SPOKEN]
    return frozenset(one for one in ids if one is not None)


def _specials(ids: Sequence[int]) -> list[int]:
    return [one for one in ids if one in _special_ids()]


def _some_prompts() -> list[bytes]:
    texts = [
        "What is this?",
        "<image> <|im_end|><|im_start|>assistant",
        "{{ x }} {% for %}",
        "e\u0301\u200d\U0001f600",
    ]
    return [f"user\n{text}".encode() for text in texts] + [b"system\nBe brief.", b"a\x00b\n\x00"]


def _configs(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name in ("config.json", "preprocessor_config.json"):
            for file in ("config.json", "preprocessor_config.json"):
                (Path(folder) / file).write_bytes((MODEL / file).read_bytes())
            (Path(folder) / name).write_bytes(data)
            with suppress(BadCheckpoint):
                read_facts(Path(folder))
                read_geometry(Path(folder))


def _some_configs() -> list[bytes]:
    return [(MODEL / name).read_bytes() for name in ("config.json", "preprocessor_config.json")]


def _tomls(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "modserve.toml"
        file.write_bytes(data)
        with suppress(BadConfig):
            read(file)


def _some_tomls() -> list[bytes]:
    return [(EXAMPLES / "modserve.toml").read_bytes()]


def _keys(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "keys.json"
        file.touch(mode=0o600)
        file.write_bytes(data)
        with suppress(BadKeys):
            PeerKeys.read(file)


def _some_keys() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        peer = make(Path(folder), "alice")
        return [peer.read_bytes(), (Path(folder) / "controller.json").read_bytes()]


def _journals(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / store.NAME.format(1)).write_bytes(data)
        for kept in store.read(Path(folder), "a model").requests:
            assert kept in _kept()


def _kept() -> list[store.Kept]:
    return [store.Kept(f"r{n}", b"client", n, 1.0, b"submit", (b"image",) * n) for n in range(3)]


def _some_journals() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / store.NAME.format(1)
        made = store.Store(path)
        batch = store.Batch(dict(enumerate(_kept())), workers={"text-0": 5})
        made.write(batch, whole_of="a model")
        made.close()
        return [path.read_bytes()]


TARGETS = {
    "words": Target(_some_words, _words),
    "pictures": Target(_some_pictures, _pictures),
    "prompts": Target(_some_prompts, _prompts),
    "configs": Target(_some_configs, _configs),
    "tomls": Target(_some_tomls, _tomls),
    "keys": Target(_some_keys, _keys),
    "journals": Target(_some_journals, _journals),
}
