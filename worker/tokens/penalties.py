"""Penalties for tokens that were seen before: repetition over prompt and output, presence and
frequency over the output alone (vLLM's and OpenAI's meaning). A row without them holds nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...transport.messages import Sampling


class Seen:
    """The distinct tokens of a prompt and its output, and how often each was emitted.

    Flat arrays that grow by doubling: a step reads them as they are, a push touches one entry.
    """

    def __init__(self, prompt_ids: Sequence[int], emitted_ids: Sequence[int] = ()) -> None:
        distinct = np.unique(np.asarray(prompt_ids, dtype=np.int64))
        self._slots = {token: slot for slot, token in enumerate(distinct.tolist())}
        self._ids = distinct
        self._counts: NDArray[np.int64] = np.zeros(len(distinct), dtype=np.int64)
        for token in emitted_ids:
            self.push(token)

    @property
    def ids(self) -> NDArray[np.int64]:
        return self._ids[: len(self._slots)]

    @property
    def counts(self) -> NDArray[np.int64]:
        """How often each of `ids` was emitted; 0 where only the prompt has it."""
        return self._counts[: len(self._slots)]

    def push(self, token: int) -> None:
        slot = self._slots.setdefault(token, len(self._slots))
        if slot == len(self._ids):
            room = max(64, len(self._ids))
            self._ids = np.concatenate([self._ids, np.zeros(room, dtype=np.int64)])
            self._counts = np.concatenate([self._counts, np.zeros(room, dtype=np.int64)])
        self._ids[slot] = token
        self._counts[slot] += 1


def penalised(sampling: Sampling) -> bool:
    return (
        sampling.repetition_penalty != 1.0
        or sampling.presence_penalty != 0.0
        or sampling.frequency_penalty != 0.0
    )


def penalise(logits: Tensor, rows: Sequence[tuple[int, Sampling, Seen]]) -> None:
    """Lower, in place, what each (row index, sampling, seen) of `rows` names.

    A token id beyond the logits is left out: mllama's image token has an embedding and no logit.
    """
    ids = np.concatenate([seen.ids for _, _, seen in rows])
    counts = np.concatenate([seen.counts for _, _, seen in rows])
    sizes = [len(seen.ids) for _, _, seen in rows]
    inside = ids < logits.shape[1]

    def each(values: Sequence[float]) -> NDArray[np.float64]:
        spread: NDArray[np.float64] = np.repeat(np.asarray(values, dtype=np.float64), sizes)
        return spread[inside]

    def tensor(values: NDArray[np.float64]) -> Tensor:
        return torch.from_numpy(values).to(logits.device, logits.dtype)

    columns = torch.from_numpy(ids[inside]).to(logits.device)
    at = torch.from_numpy(each([index for index, _, _ in rows]).astype(np.int64)).to(logits.device)
    emitted = counts[inside]
    repetition = tensor(each([sampling.repetition_penalty for _, sampling, _ in rows]))
    lowered = tensor(
        each([sampling.frequency_penalty for _, sampling, _ in rows]) * emitted
        + each([sampling.presence_penalty for _, sampling, _ in rows]) * (emitted > 0)
    )
    found = logits[at, columns]
    found = torch.where(found > 0, found / repetition, found * repetition) - lowered
    logits[at, columns] = found
