"""The few numbers that the core reckons with, fixed when the controller starts."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """Sizes come from the model, times and limits from the configuration."""

    block_size: int = 16  # tokens in a KV block
    row_bytes: int = 0  # one row of an embedding in an encode replica's store
    staging_row_bytes: int = 0  # one row as a text replica holds it once pulled
    cache_bytes: int | None = None  # of a store, for embeddings that nobody needs; None: all of it
    prefix_cache: bool = True  # text replicas keep the KV of prompts that have ended
    cross_attention: bool = False  # then staging is held to the end, and all images bind at once
    late_s: float = 1.0  # silent this long: no new work
    lost_s: float = 2.5  # silent this long: gone
    ahead_images: int | None = None  # beside one that an encode replica has; None: any number
    max_open: int = 10_000  # requests; one more is refused
    max_waiting_tokens: int = 2**25  # of prompts that nobody has prefilled
    max_failures: int = 8  # runs of one request that may end for no fault of its own

    def blocks(self, tokens: int) -> int:
        return -(-tokens // self.block_size)
