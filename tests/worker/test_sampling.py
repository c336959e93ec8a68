import math
from collections.abc import Sequence
from random import Random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from modserve.transport.messages import Sampling
from modserve.worker.tokens.ordering import leading
from modserve.worker.tokens.penalties import Seen
from modserve.worker.tokens.sampling import SamplingRow, sample, uniform

Case = tuple[list[float], Sampling, int, list[int], list[int]]
Counts = NDArray[np.int64]
Odds = NDArray[np.float64]

VOCAB = 40
LEVELS = [-math.inf, -1e30, -3.0, -0.5, -0.0, 0.0, 0.25, 1.0, 2.5, 30.0]  # few: ties abound


def row(
    sampling: Sampling, seed: int = 1, prompt: Sequence[int] = (), emitted: Sequence[int] = ()
) -> SamplingRow:
    return SamplingRow.after(sampling, seed, prompt, emitted)


def drawn(logits: list[float], sampling: Sampling, count: int) -> Counts:
    """How often each token comes in `count` draws with different seeds and positions."""
    batch = torch.tensor(logits).expand(count, -1)
    rows = [SamplingRow(sampling, seed=i // 7, position=i % 7) for i in range(count)]
    tokens = [one.token_id for one in sample(batch, rows)]
    return np.bincount(tokens, minlength=len(logits))


def chi_square(seen: Counts, odds: Odds) -> float:
    """In units of its own spread above its mean; 5 and more does not happen by chance."""
    possible = odds > 0
    assert not seen[~possible].any()
    expected = odds[possible] * seen.sum()
    value = ((seen[possible] - expected) ** 2 / expected).sum()
    freedom = possible.sum() - 1
    return float((value - freedom) / math.sqrt(2 * freedom))


samplings = st.builds(
    Sampling,
    temperature=st.sampled_from([0.0, 1e-9, 0.3, 1.0, 5.0, 1e6]),
    top_k=st.sampled_from([0, 0, 1, 2, 7, VOCAB, 10_000]),
    top_p=st.sampled_from([1.0, 1.0, 1e-9, 0.5, 0.9]),
    min_p=st.sampled_from([0.0, 0.0, 0.1, 1.0]),
    repetition_penalty=st.sampled_from([1.0, 1.0, 1.3]),
    presence_penalty=st.sampled_from([0.0, 0.0, 1.5]),
    frequency_penalty=st.sampled_from([0.0, 0.0, -0.5]),
    logprobs=st.sampled_from([None, None, 0, 3]),
)
histories = st.lists(st.integers(0, VOCAB + 3), max_size=12)
seeds = st.integers(-(2**70), 2**70)
one_logits = st.lists(st.sampled_from(LEVELS), min_size=VOCAB, max_size=VOCAB).filter(
    lambda row: max(row) > -1e29
)
cases = st.lists(
    st.tuples(one_logits, samplings, seeds, histories, histories), min_size=1, max_size=4
)


@settings(max_examples=100, deadline=None)
@given(cases, st.randoms())
def test_a_token_does_not_depend_on_its_batch(cases: list[Case], random: Random) -> None:
    order = list(range(len(cases)))
    random.shuffle(order)
    logits = torch.tensor([case[0] for case in cases])
    rows = [row(*case[1:]) for case in cases]
    together = sample(logits[order], [rows[i] for i in order])
    alone = [sample(logits[i : i + 1], [rows[i]])[0] for i in range(len(cases))]
    assert together == [alone[i] for i in order]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("width", [1, 511, 513, 5000, 40_000])
def test_a_wide_row_does_not_depend_on_its_batch(width: int, dtype: torch.dtype) -> None:
    logits = (torch.randn(24, width, generator=torch.manual_seed(3)) * 2).to(dtype)
    kinds = [Sampling(temperature=1.0), Sampling(temperature=0.8, top_p=0.95), Sampling()]
    kinds += [Sampling(temperature=2.0, top_k=600), Sampling(temperature=1.0, top_k=3, min_p=0.01)]
    kinds += [Sampling(temperature=1.0, top_p=0.999), Sampling(logprobs=2)]
    rows = [SamplingRow(kinds[i % len(kinds)], seed=i, position=i) for i in range(24)]
    alone = [sample(logits[i : i + 1], [rows[i]])[0] for i in range(24)]
    assert sample(logits, rows) == alone
    assert sample(logits.flip(0), rows[::-1]) == alone[::-1]


@settings(max_examples=100, deadline=None)
@given(one_logits, samplings, seeds, histories, histories)
def test_a_rerun_from_any_token_repeats_the_rest(
    logits: list[float], sampling: Sampling, seed: int, prompt: list[int], emitted: list[int]
) -> None:
    table = torch.tensor([np.roll(logits, i).tolist() for i in range(8)])
    whole = row(sampling, seed, prompt, emitted)
    tokens = []
    for step in range(8):
        (one,) = sample(table[step : step + 1], [whole])
        tokens.append(one.token_id)
        whole.push(one.token_id)
    again = row(sampling, seed, prompt, [*emitted, *tokens[:5]])
    again.position = whole.position - 3
    for step in range(5, 8):
        (one,) = sample(table[step : step + 1], [again])
        assert one.token_id == tokens[step]
        again.push(one.token_id)


@settings(max_examples=100, deadline=None)
@given(one_logits, seeds, st.sampled_from([1e-9, 0.7, 1.0, 1e6]))
def test_one_candidate_is_greedy(logits: list[float], seed: int, temperature: float) -> None:
    batch = torch.tensor([logits] * 4)
    rows = [
        row(Sampling(), seed),
        row(Sampling(temperature=temperature, top_k=1), seed),
        row(Sampling(temperature=temperature, top_p=1e-12), seed),
        row(Sampling(temperature=1e-30), seed),
    ]
    first, *rest = [one.token_id for one in sample(batch, rows)]
    assert first == int(np.argmax(logits))
    assert rest[:2] == [first, first]
    assert logits[rest[2]] == max(logits)


@settings(max_examples=100, deadline=None)
@given(one_logits, seeds, samplings)
def test_filters_keep_what_they_say(logits: list[float], seed: int, sampling: Sampling) -> None:
    """Checked against the definition: sort, min-p, top-k, top-p, in plain Python."""
    sampling = Sampling(
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        min_p=sampling.min_p,
    )
    (one,) = sample(torch.tensor([logits]), [row(sampling, seed)])
    ranked = sorted(range(VOCAB), key=lambda token: (-logits[token], token))
    assert one.token_id in ranked[: sampling.top_k or VOCAB]
    if sampling.temperature == 0:
        assert one.token_id == ranked[0]
        return
    weights = [math.exp((logits[t] - logits[ranked[0]]) / sampling.temperature) for t in ranked]
    kept = [w if w >= sampling.min_p * (1 - 1e-6) else 0.0 for w in weights][
        : sampling.top_k or None
    ]
    before = sum(kept[: ranked.index(one.token_id)])
    assert kept[ranked.index(one.token_id)] > 0
    assert before <= sampling.top_p * sum(kept) * (1 + 1e-5)


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(temperature=1.0),
        Sampling(temperature=0.5),
        Sampling(temperature=1.0, top_k=10),
        Sampling(temperature=1.0, top_p=0.8),
        Sampling(temperature=1.3, top_k=25, top_p=0.9, min_p=0.02),
    ],
    ids=repr,
)
def test_draws_follow_the_distribution(sampling: Sampling) -> None:
    logits = np.random.default_rng(5).normal(size=VOCAB) * 1.5
    odds = np.exp((logits - logits.max()) / sampling.temperature)
    odds[odds < sampling.min_p] = 0
    order = np.argsort(-odds, kind="stable")
    odds[order[sampling.top_k or VOCAB :]] = 0
    before = np.cumsum(odds[order]) - odds[order]
    odds[order[before >= sampling.top_p * odds.sum()]] = 0
    assert abs(chi_square(drawn(logits.tolist(), sampling, 40_000), odds / odds.sum())) < 5


def test_a_wide_vocabulary_is_drawn_from_evenly() -> None:
    """Across the blocks of the in-place search: 1,300 tokens, none of them favoured."""
    seen = drawn([0.5] * 1300, Sampling(temperature=1.0), 65_000)
    assert abs(chi_square(seen, np.full(1300, 1 / 1300))) < 5
    assert seen.min() > 15


def test_neighbouring_seeds_and_positions_are_unrelated() -> None:
    grid = uniform([seed for seed in range(200) for _ in range(200)], list(range(200)) * 200)
    grid = grid.reshape(200, 200)
    assert 0 <= grid.min() < grid.max() < 1
    assert abs(grid.mean() - 0.5) < 0.005
    for shifted in (grid[1:, :-1], grid[:-1, 1:], grid[1:, 1:]):
        assert abs(np.corrcoef(grid[:-1, :-1].ravel(), shifted.ravel())[0, 1]) < 0.02


@settings(max_examples=100, deadline=None)
@given(st.lists(one_logits, min_size=1, max_size=4), st.integers(1, VOCAB))
def test_equals_are_ordered_by_id(logits: list[list[float]], count: int) -> None:
    expected = [sorted(range(VOCAB), key=lambda t: (-line[t], t))[:count] for line in logits]
    assert leading(torch.tensor(logits), count).tolist() == expected


def test_penalties_follow_their_definitions() -> None:
    prompt, emitted = [1, 1, 2, VOCAB + 5], [2, 3, 3]
    sampling = Sampling(repetition_penalty=2.0, presence_penalty=0.5, frequency_penalty=0.25)
    base = [3.0, 4.0, -1.0, 6.0, 2.9] + [-5.0] * (VOCAB - 5)
    lowered = [3.0, 2.0, -2.0 - 0.75, 3.0 - 1.0, 2.9]
    assert max(lowered) == 3.0
    for token, value in enumerate(lowered):
        logits = torch.tensor([base])
        logits[0, 10] = value + 1e-3
        assert sample(logits, [row(sampling, 1, prompt, emitted)])[0].token_id == (
            10 if value == 3.0 else 0
        )
        assert logits[0, 1] == 4.0  # the caller's logits stay as they are
        alone = torch.full((1, VOCAB), -1e9)
        alone[0, token], alone[0, 10] = base[token], value - 1e-3
        assert sample(alone, [row(sampling, 1, prompt, emitted)])[0].token_id == token


@given(histories, histories)
def test_what_was_seen_is_counted(prompt: list[int], emitted: list[int]) -> None:
    seen = Seen(prompt, emitted * 20)
    found = dict(zip(seen.ids.tolist(), seen.counts.tolist(), strict=True))
    assert found == {t: 20 * emitted.count(t) for t in {*prompt, *emitted}}


def test_logprobs_are_the_models_own() -> None:
    logits = torch.randn(3, VOCAB, generator=torch.manual_seed(0))
    asked = Sampling(temperature=3.0, top_k=2, repetition_penalty=1.5, logprobs=4)
    rows = [row(asked, 5, [1, 2]), row(Sampling()), row(Sampling(logprobs=0))]
    first, second, third = sample(logits, rows)
    own = logits.log_softmax(-1)
    assert first.logprobs is not None
    assert first.logprobs.chosen == pytest.approx(own[0, first.token_id].item())
    best = own[0].topk(4)
    assert [token for token, _ in first.logprobs.top] == best.indices.tolist()
    assert [value for _, value in first.logprobs.top] == pytest.approx(best.values.tolist())
    assert second.logprobs is None
    assert third.logprobs is not None
    assert third.logprobs.top == ()


def test_an_infinite_or_broken_row_still_answers() -> None:
    logits = torch.zeros(3, VOCAB)
    logits[0, 7] = math.inf
    logits[1] = -math.inf
    logits[2] = math.nan
    for sampling in (Sampling(temperature=1.0), Sampling(temperature=1.0, top_p=0.5, top_k=4)):
        tokens = [one.token_id for one in sample(logits, [row(sampling)] * 3)]
        assert tokens[0] == 7
        assert all(0 <= token < VOCAB for token in tokens)
