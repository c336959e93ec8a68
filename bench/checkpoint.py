"""The random checkpoint that the benchmarks serve: 164 M parameters in LLaVA-OneVision's layout.

    python bench/checkpoint.py FOLDER

A SigLIP tower and a Qwen2, each 12 layers of width 768, with 224-px tiles and a vocabulary of
32,768 that is a real byte-level BPE of made-up words, so that tokenization and detokenization
cost what they cost elsewhere. The same weights every time.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from modserve.tests.checkpoints import CHATML, LLAVA_SPECIALS, make_llava_onevision

VOCABULARY = 32_768
TILE, PATCH = 224, 16
SIZES: dict[str, Any] = {
    "hidden_size": 768,
    "intermediate_size": 1280,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "num_key_value_heads": 2,
    "vision_hidden_size": 768,
    "vision_intermediate_size": 3072,
    "vision_num_hidden_layers": 12,
    "vision_num_attention_heads": 12,
}
SMALL: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vision_hidden_size": 64,
    "vision_intermediate_size": 96,
    "vision_num_hidden_layers": 2,
    "vision_num_attention_heads": 4,
}
SYLLABLES = tuple(c + v + e for c in "bcdfghklmnprstvwz" for v in "aeiou" for e in ("", "n", "st"))


def make(folder: Path, *, small: bool = False) -> Path:
    """Write the checkpoint into `folder`; `small` is for tries of the benchmarks themselves."""
    return make_llava_onevision(
        folder,
        tokenizer=make_tokenizer(20_000 if small else 200_000),
        vocab_size=VOCABULARY,
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        image_size=TILE,
        patch_size=PATCH,
        **(SIZES | (SMALL if small else {})),
    )


def prose(count: int, seed: int = 0) -> str:
    """`count` made-up words of one to four syllables, some far more common than others."""
    return " ".join(_words(count, seed))


def _words(count: int, seed: int) -> Iterator[str]:
    dice = random.Random(seed)
    for _ in range(count):
        rolls = [dice.random() for _ in range(dice.randint(1, 4))]
        yield "".join(SYLLABLES[int(len(SYLLABLES) * roll**1.5)] for roll in rolls)


def make_tokenizer(corpus_words: int) -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(LLAVA_SPECIALS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator([prose(corpus_words)], trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in LLAVA_SPECIALS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=list(LLAVA_SPECIALS),
        chat_template=CHATML,
        clean_up_tokenization_spaces=False,
    )


if __name__ == "__main__":
    make(Path(sys.argv[1]))
