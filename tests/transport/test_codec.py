"""Words that share a frame."""

from __future__ import annotations

import pytest

from modserve.transport import codec
from modserve.transport import messages as say


@pytest.mark.parametrize("count", [1, 2, 15, 16, 1000, codec.MOST_JOINED])
def test_joined_words_are_heard_in_their_order(count: int) -> None:
    words = tuple(say.Granted(number) for number in range(count))
    frame = codec.joined([codec.encode(word) for word in words])
    assert codec.to_client(frame) == words


def test_one_that_is_no_word_spoils_the_frame() -> None:
    """A client cannot know what it has missed, so it is told."""
    with pytest.raises(codec.BadFrame):
        codec.to_client(codec.joined([codec.encode(say.Ping()), b"\xc1"]))
