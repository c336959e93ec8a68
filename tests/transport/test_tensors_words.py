"""What two tensor ports say to each other, as bytes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from modserve.transport.codec import BadFrame, between_ports, encode
from modserve.transport.messages import BetweenPorts, Grant, Meet, Refuse, Unlink, Want

EPOCH = 2**63 - 1
SPOKEN: list[BetweenPorts] = [
    Want(EPOCH, 2, 3, id=4, handle=5, bytes=(0, 6), message_bytes=1 << 20),
    Grant(EPOCH, 2, 3, id=4, checked=True, before=0),
    Refuse(EPOCH, 2, 3, id=4, reason="gone", detail="released"),
    Meet(EPOCH, 2, 3, rank=1, key="0/1", value=bytes(range(256))),
    Unlink(EPOCH, 2, 3, rank=0, reason="idle"),
]


@pytest.mark.parametrize("word", SPOKEN, ids=lambda word: type(word).__name__)
def test_round_trip(word: BetweenPorts) -> None:
    assert between_ports(encode(word)) == word


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"no word",
        encode(SPOKEN[0])[:-1],
        encode({"type": "Refuse", "source": 1, "target": 2, "link": 3, "id": 4, "reason": "bad"}),
        encode(Want(1, 2, 3, id=4, handle=5, bytes=(6,), message_bytes=0)),
        encode({"type": "Unlink", "source": 1, "target": 2, "link": 3, "rank": 2, "reason": ""}),
        encode(
            {"type": "Unlink", "source": 1, "target": 2, "link": 3, "rank": 0, "reason": "", "x": 1}
        ),
    ],
)
def test_what_is_no_word_is_refused(frame: bytes) -> None:
    with pytest.raises(BadFrame):
        between_ports(frame)


@pytest.mark.slow
def test_words_and_codec_are_read_without_torch() -> None:
    script = "import sys; sys.modules['torch'] = None; import modserve.transport.codec"
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
