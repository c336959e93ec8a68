"""Prompts of exact length, and pictures: by seed, and no two alike unless they are to be."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from modserve.client.load.asks import Maker
from modserve.client.load.pictures import Pictures
from modserve.client.load.prompts import NoPrompts, Prompts, read_tokenizer

TINY = Path(__file__).parents[3] / "tiny" / "checkpoint"
TOKENIZER = read_tokenizer(TINY)


def prompts(*, seed: int = 0, prefix_tokens: int = 0) -> Prompts:
    return Prompts(read_tokenizer(TINY), seed=seed, prefix_tokens=prefix_tokens)


def ids(text: str) -> list[int]:
    found: list[int] = TOKENIZER.encode(text, add_special_tokens=False).ids
    return found


@pytest.mark.parametrize("tokens", [1, 2, 3, 17, 128, 3000])
def test_a_prompt_has_exactly_so_many_tokens(tokens: int) -> None:
    made = prompts()
    for number in range(5):
        assert len(ids(made.prompt(f"request {number}", tokens))) == tokens


def test_no_two_prompts_begin_alike_and_seeds_tell_them_apart() -> None:
    made = prompts()
    texts = [made.prompt(f"request {number}", 64) for number in range(200)]
    assert len({tuple(ids(text)[:8]) for text in texts}) == 200
    assert texts[7] == prompts().prompt("request 7", 64)
    assert texts[7] != prompts(seed=1).prompt("request 7", 64)


def test_a_shared_prefix_is_shared_and_counts_beside_the_rest() -> None:
    made = prompts(prefix_tokens=20)
    first, second = (ids(made.prompt(name, 12)) for name in ("request 0", "request 1"))
    assert len(first) == len(second) == 32
    assert first[:20] == second[:20]
    assert first[20:24] != second[20:24]


def test_special_tokens_are_never_typed() -> None:
    text = prompts().prompt("request 0", 5000)
    assert "<" not in text


def test_a_tokenizer_without_words_is_a_sentence() -> None:
    tokenizer = Tokenizer(models.BPE({"a": 0, "b": 1}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()
    with pytest.raises(NoPrompts, match="expected a tokenizer with words of one token"):
        Prompts(tokenizer, seed=0)


@pytest.mark.parametrize("content", [None, "{", "[]", '{"version": 1}'])
def test_a_file_that_is_no_tokenizer_is_a_sentence(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(NoPrompts, match=r"expected a tokenizer in .*tokenizer\.json, got "):
        read_tokenizer(tmp_path)


@pytest.mark.parametrize(("kind", "size"), [("JPEG", (64, 48)), ("PNG", (1, 1)), ("PNG", (33, 7))])
def test_a_picture_has_its_size_and_format(kind: str, size: tuple[int, int]) -> None:
    pictures = Pictures(seed=0, kind="PNG" if kind == "PNG" else "JPEG")
    with Image.open(BytesIO(pictures.picture(*size))) as picture:
        assert (picture.format, picture.size) == (kind, size)


def test_no_two_pictures_are_alike_and_seeds_tell_them_apart() -> None:
    first, second, other = Pictures(seed=1), Pictures(seed=1), Pictures(seed=2)
    made = [first.picture(64, 64) for _ in range(20)]
    assert len(set(made)) == 20
    assert made == [second.picture(64, 64) for _ in range(20)]
    assert made[0] != other.picture(64, 64)


def test_the_same_pictures_are_used_in_turn_when_asked_for() -> None:
    pictures = Pictures(seed=0, same=3)
    made = [pictures.picture(32, 32) for _ in range(9)]
    assert len(set(made)) == 3
    assert made[:3] == made[3:6] == made[6:]


def test_an_ask_has_its_prompt_and_its_pictures() -> None:
    maker = Maker(prompts(), Pictures(seed=0))
    sizes = [(32, 16), (8, 8)]
    ask = maker.ask("request 3", at_s=1.5, text_tokens=9, output_tokens=5, sizes=sizes)
    assert (ask.at_s, ask.text_tokens, ask.output_tokens) == (1.5, 9, 5)
    assert len(ids(ask.prompt)) == 9
    assert [Image.open(BytesIO(file)).size for file in ask.images] == sizes
