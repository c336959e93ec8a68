"""The embedding store: one run of an image counts, and what it has is given up once."""

from __future__ import annotations

from modserve.transport.messages import Forget, Part, Stored, TensorHandle
from modserve.worker.store import EmbeddingStore

HANDLE = TensorHandle("encode-1", 7, 1, (Part((2, 3), "float32", 24), Part((1,), "float32", 4)))


class Dropped(list[tuple[str, int, TensorHandle | None]]):
    """What was given up, in order."""

    def __call__(self, key: str, run: int, handle: TensorHandle | None) -> None:
        self.append((key, run, handle))


def test_a_word_that_comes_twice_begins_once() -> None:
    dropped = Dropped()
    store = EmbeddingStore(dropped)
    assert [store.begin("a", 1), store.begin("a", 1), store.wanted("a", 1)] == [True, False, True]
    assert dropped == []


def test_another_run_gives_up_what_the_one_before_it_has() -> None:
    dropped = Dropped()
    store = EmbeddingStore(dropped)
    store.begin("a", 1)
    store.keep("a", 1, HANDLE)
    assert store.begin("a", 2)
    assert (dropped, store.bytes) == ([("a", 1, HANDLE)], 0)
    store.forget(Forget("a", 1))
    assert store.wanted("a", 2), "the word was about the run before"


def test_what_failed_is_not_given_up_again() -> None:
    dropped = Dropped()
    store = EmbeddingStore(dropped)
    store.begin("a", 1)
    store.fail("a")
    store.forget(Forget("a", 1))
    store.clear()
    assert dropped == []


def test_what_is_on_its_way_ends_with_the_controller_that_asked() -> None:
    dropped = Dropped()
    store = EmbeddingStore(dropped)
    store.begin("a", 1)
    store.begin("b", 2)
    store.keep("b", 2, HANDLE)
    assert store.bytes == 28
    assert store.stored() == (Stored("b", 2, HANDLE),)
    assert dropped == [("a", 1, None)]
    store.clear()
    assert dropped[1:] == [("b", 2, HANDLE)]
