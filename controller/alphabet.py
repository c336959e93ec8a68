"""How a tokenizer writes bytes in the words of its vocabulary.

Byte-level ones (Llama 3, Qwen2) have a printable character for each byte; those with byte fallback
(Llama 2) write a space as ▁, and single bytes as <0x0A>.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from tokenizers import Tokenizer

_BYTE = re.compile(r"<0x([0-9A-F]{2})>")


def spelling_of(tokenizer: Tokenizer) -> Callable[[str], bytes]:
    """From a word of the vocabulary to the bytes that it stands for."""
    decoder = json.loads(tokenizer.to_str()).get("decoder") or {}
    kinds = {one["type"] for one in (decoder, *decoder.get("decoders", ()))}
    return _byte_level if "ByteLevel" in kinds else _with_fallback


def _alphabet() -> dict[str, int]:
    """GPT-2's: bytes that print as Latin-1 stand for themselves, the others for 256 and up."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    shown = {chr(byte): byte for byte in printable}
    return shown | {chr(256 + index): byte for index, byte in enumerate(others)}


_ALPHABET = _alphabet()


def _byte_level(word: str) -> bytes:
    if not all(character in _ALPHABET for character in word):
        return word.encode()
    return bytes(_ALPHABET[character] for character in word)


def _with_fallback(word: str) -> bytes:
    found = _BYTE.fullmatch(word)
    return bytes((int(found[1], 16),)) if found else word.replace("▁", " ").encode()
