import json
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers

from modserve.transport.messages import Sampling
from modserve.worker.tokens.emission import Emission

WORDS = "the quick brown fox, it's 42! straße 東京 你好 👩‍👩‍👧‍👦 naïve مرحبا "
LONG = Sampling(max_tokens=10**9)


def byte_level() -> Tokenizer:
    """As Qwen2's and Llama 3's: every byte is a token, so any id sequence may be broken UTF-8."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet, show_progress=False)
    tokenizer.train_from_iterator([WORDS] * 3, trainer)
    tokenizer.add_special_tokens(["<|end|>", "<image>"])
    tokenizer.add_tokens([AddedToken("<tool>", special=False), AddedToken("é→", special=False)])
    return tokenizer


def byte_fallback(*, strip: bool) -> Tokenizer:
    """As Llama 2's: a space is ▁, unknown characters are runs of byte tokens."""
    pieces = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    pieces += ["▁", "▁▁", "a", "b", "▁a", "ab", "▁the", "é", "東", "▁b", "."]
    vocab = {piece: index for index, piece in enumerate(pieces)}
    merges = [("a", "b"), ("▁", "a"), ("▁", "b"), ("▁", "▁")]
    model = models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", byte_fallback=True)
    tokenizer = Tokenizer(model)
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    steps += [decoders.Strip(content=" ", left=1)] if strip else []
    tokenizer.decoder = decoders.Sequence(steps)
    tokenizer.add_special_tokens(["<unk>", "<s>", "</s>"])
    return tokenizer


def metaspace() -> Tokenizer:
    pieces = ["▁", "▁a", "a", "b▁", "▁▁b", "東", "<e>"]
    tokenizer = Tokenizer(models.WordLevel({p: i for i, p in enumerate(pieces)}, unk_token="a"))
    tokenizer.decoder = decoders.Metaspace()
    tokenizer.add_special_tokens(["<e>"])
    return tokenizer


def words() -> Tokenizer:
    """No decoder at all: the pieces are joined by spaces."""
    return Tokenizer(models.WordLevel({w: i for i, w in enumerate(["a", "b", "cc", "d"])}, "a"))


TOKENIZERS = {
    "byte level": byte_level(),
    "llama 2": byte_fallback(strip=True),
    "byte fallback": byte_fallback(strip=False),
    "metaspace": metaspace(),
    "words": words(),
}
kinds = pytest.mark.parametrize("tokenizer", TOKENIZERS.values(), ids=TOKENIZERS)
draws = st.lists(st.integers(0, 2**20), max_size=40)
texts = st.lists(st.sampled_from([*WORDS, " the", "👩‍👩‍👧‍👦", "🇩🇪", "\ufffd"]), max_size=30)


def ids_of(tokenizer: Tokenizer, draws: Sequence[int]) -> list[int]:
    """Any ids, a few beyond the vocabulary among them, as models with padded heads draw them."""
    return [draw % (tokenizer.get_vocab_size() + 2) for draw in draws]


def pushed(emission: Emission, ids: Sequence[int]) -> list[str]:
    found = []
    for token in ids:
        if emission.finish_reason is None:
            found.append(emission.push(token).text)
    return found


@kinds
@settings(max_examples=300, deadline=None)
@given(draws)
def test_the_pieces_are_the_text_of_all_ids(tokenizer: Tokenizer, draws: list[int]) -> None:
    ids = ids_of(tokenizer, [*draws, 0])
    emission = Emission(tokenizer, Sampling(max_tokens=len(ids)), frozenset())
    assert "".join(pushed(emission, ids)) == tokenizer.decode(ids)
    assert emission.finish_reason == "length"


@settings(max_examples=300, deadline=None)
@given(texts)
def test_a_character_comes_whole(pieces: list[str]) -> None:
    """Cut into single bytes, the hardest way that a byte-level model may say it."""
    tokenizer = TOKENIZERS["byte level"]
    text = "".join(pieces)
    letters = sorted(set(range(33, 127)) | set(range(161, 173)) | set(range(174, 256)))
    missing = [byte for byte in range(256) if byte not in letters]
    letter = {byte: chr(byte) for byte in letters}
    letter |= {byte: chr(256 + index) for index, byte in enumerate(missing)}
    vocabulary = tokenizer.get_vocab()
    ids = [vocabulary[letter[byte]] for byte in text.encode()]
    emission, said = Emission(tokenizer, LONG, frozenset()), ""
    for index, token in enumerate(ids):
        said += emission.push(token).text
        sure = text.encode()[: index + 1].decode(errors="ignore")
        assert said in (sure, sure.removesuffix("\ufffd"))


@kinds
@settings(max_examples=200, deadline=None)
@given(draws, st.lists(st.sampled_from(["a", "b ", "the", " a", "\ufffd", "ab", "東", "é"])))
def test_a_rerun_goes_on_where_it_stood(
    tokenizer: Tokenizer, draws: list[int], stops: list[str]
) -> None:
    ids = ids_of(tokenizer, draws)
    sampling = Sampling(max_tokens=len(ids) + 1, stop=tuple(stops))
    whole = pushed(Emission(tokenizer, sampling, frozenset({3})), ids)
    for split in range(len(whole)):
        again = Emission(tokenizer, sampling, frozenset({3}), emitted=ids[:split])
        assert pushed(again, ids[split:]) == whole[split:]


def cut(text: str, stops: Sequence[str]) -> str:
    """The definition: the first stop string to be complete ends the text before it."""
    for end in range(1, len(text) + 1):
        ending = [stop for stop in stops if stop and text[:end].endswith(stop)]
        if ending:
            return text[: end - max(map(len, ending))]
    return text


@settings(max_examples=500, deadline=None)
@given(st.text("ab ", max_size=60), st.lists(st.text("ab ", max_size=6), max_size=4), st.data())
def test_text_ends_before_the_first_stop_string(
    text: str, stops: list[str], data: st.DataObject
) -> None:
    tokenizer = TOKENIZERS["byte level"]
    ids = tokenizer.encode(text + "!").ids
    emission = Emission(tokenizer, Sampling(max_tokens=len(ids), stop=tuple(stops)), frozenset())
    said, expected = "", cut(text + "!", stops)
    for token in ids:
        emitted = emission.push(token)
        said += emitted.text
        assert expected.startswith(said)  # nothing of a stop string is ever sent
        if emitted.finish_reason:
            break
    assert said == expected
    assert emission.finish_reason == ("stop" if expected != text + "!" else "length")


def test_what_cannot_become_a_stop_string_is_not_held() -> None:
    tokenizer = TOKENIZERS["words"]
    emission = Emission(tokenizer, Sampling(stop=("b cc",)), frozenset())
    said = [emission.push(token).text for token in (0, 1, 1, 2)]
    assert said == ["a", " ", "b ", ""]
    assert emission.finish_reason == "stop"


def test_an_end_token_is_no_text_and_frees_what_was_held() -> None:
    tokenizer = TOKENIZERS["words"]
    for sampling in (Sampling(stop=("b cc",)), Sampling(stop=("b cc",), stop_token_ids=(3,))):
        emission = Emission(tokenizer, sampling, frozenset({3}))
        assert emission.push(1).text == ""
        assert emission.push(3).text == "b"
        assert emission.finish_reason == "stop"
        with pytest.raises(ValueError, match="expected no token after stop, got 1"):
            emission.push(1)


def test_ignored_ends_go_on_to_the_last_token() -> None:
    emission = Emission(TOKENIZERS["words"], Sampling(3, ignore_eos=True), frozenset({3}))
    assert [emission.push(3).finish_reason for _ in range(3)] == [None, None, "length"]
    stopped = Sampling(3, ignore_eos=True, stop_token_ids=(3,))
    assert Emission(TOKENIZERS["words"], stopped, frozenset({3})).push(3).finish_reason == "stop"


def test_the_last_token_allowed_may_be_the_end() -> None:
    emission = Emission(TOKENIZERS["words"], Sampling(2), frozenset({3}), emitted=[0])
    assert emission.push(3).finish_reason == "stop"


@kinds
def test_the_cost_of_a_token_does_not_grow(tokenizer: Tokenizer) -> None:
    """Bytes that never become a character are the worst case of a detokenizer with a window."""
    vocabulary = json.loads(tokenizer.to_str())["model"]["vocab"]
    ids = [vocabulary.get("ÿ", vocabulary.get("<0xFF>", 0))] * 20_000
    emission = Emission(tokenizer, LONG, frozenset())
    began = time.perf_counter()
    pushed(emission, ids)
    assert time.perf_counter() - began < 2.0  # about 0.1 s; a quadratic one takes minutes
