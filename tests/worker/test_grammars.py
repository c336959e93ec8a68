"""Answers that follow a JSON schema, from logits that do not care."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer

from modserve.scheduler.model import ModelFacts
from modserve.transport.checkpoint import read_facts
from modserve.transport.messages import Sampling
from modserve.worker.tokens.grammars import Grammars
from modserve.worker.tokens.sampling import SamplingRow, sample

TINY = Path(__file__).parents[2] / "tiny" / "checkpoint"
READING = {
    "type": "object",
    "properties": {"digit": {"type": "integer", "minimum": 0, "maximum": 9}, "sure": {"enum": [1]}},
    "required": ["digit", "sure"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.from_file(str(TINY / "tokenizer.json"))


@pytest.fixture(scope="module")
def facts() -> ModelFacts:
    return read_facts(TINY)


@pytest.fixture(scope="module")
def grammars(tokenizer: Tokenizer, facts: ModelFacts) -> Grammars:
    return Grammars(tokenizer, facts.eos_ids, facts.vocabulary)


def row(
    grammars: Grammars, schema: object, seed: int, emitted: Sequence[int] = (), **how: Any
) -> SamplingRow:
    sampling = Sampling(json_schema=json.dumps(schema), **how)
    grammar = grammars.following(json.dumps(schema), emitted)
    return SamplingRow.after(sampling, seed, (), emitted, grammar)


def answer(one: SamplingRow, facts: ModelFacts, most: int = 200) -> list[int]:
    """Until an end of sequence, from logits that are drawn anew for every token."""
    dice = torch.Generator().manual_seed(one.seed)
    tokens: list[int] = []
    while len(tokens) < most:
        logits = torch.randn(1, facts.vocabulary, generator=dice)
        tokens.append(sample(logits, [one])[0].token_id)
        if tokens[-1] in facts.eos_ids:
            return tokens[:-1]
        one.push(tokens[-1])
    raise AssertionError(f"no end in {most} tokens")


@pytest.mark.parametrize("temperature", [0.0, 1.0])
@pytest.mark.parametrize("seed", range(20))
def test_what_is_said_follows_the_schema_and_then_ends(
    grammars: Grammars, tokenizer: Tokenizer, facts: ModelFacts, temperature: float, seed: int
) -> None:
    one = row(grammars, READING, seed, temperature=temperature, top_k=(0, 3)[seed % 2])
    said = json.loads(tokenizer.decode(answer(one, facts)))
    assert said["digit"] in range(10)
    assert said == {"digit": said["digit"], "sure": 1}


def test_rows_without_a_schema_are_chosen_as_if_alone(
    grammars: Grammars, facts: ModelFacts
) -> None:
    logits = torch.randn(3, facts.vocabulary, generator=torch.Generator().manual_seed(1))
    before = logits.clone()
    free = [SamplingRow(Sampling(temperature=t), 5) for t in (0.0, 1.0)]
    alone = [sample(logits[i : i + 1], [one])[0] for i, one in zip((0, 2), free, strict=True)]
    among = sample(logits, [free[0], row(grammars, READING, 1), free[1]])
    assert [among[0], among[2]] == alone
    assert torch.equal(logits, before)


def test_an_answer_goes_on_from_any_of_its_tokens(
    grammars: Grammars, tokenizer: Tokenizer, facts: ModelFacts
) -> None:
    """As after the loss of a worker."""
    whole = answer(row(grammars, READING, 3), facts)
    for cut in range(len(whole) + 1):
        rest = answer(row(grammars, READING, 3, whole[:cut]), facts)
        assert json.loads(tokenizer.decode(whole[:cut] + rest))["sure"] == 1


def test_a_schema_that_is_too_hard_ends_the_answer(grammars: Grammars, facts: ModelFacts) -> None:
    assert answer(row(grammars, {"allOf": [{"$ref": "#"}]}, 1), facts) == []
