"""What is wrong with what somebody asks for, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping
from operator import attrgetter

from ..scheduler.stage import ROLES
from .messages import Sampling

RANGES = {
    "temperature": (0.0, 100.0),
    "top_p": (0.0, 1.0),
    "min_p": (0.0, 1.0),
    "repetition_penalty": (0.0, 100.0),
    "presence_penalty": (-2.0, 2.0),
    "frequency_penalty": (-2.0, 2.0),
}
MOST_STOPS, MOST_LOGPROBS = 16, 20
MOST_TOKENS = 2**31 - 1
MOST_WORKERS = 1024  # of a role

_ranged = attrgetter(*RANGES)


def complaint(sampling: Sampling) -> str | None:
    """None where every parameter can be used as it is."""
    for (name, (low, high)), value in zip(RANGES.items(), _ranged(sampling), strict=True):
        if not low <= value <= high:  # as NaN is not
            return f"expected {name} from {low:g} to {high:g}, got {value}"
    if sampling.top_p == 0.0 or sampling.repetition_penalty == 0.0:
        name = "top_p" if sampling.top_p == 0.0 else "repetition_penalty"
        return f"expected {name} above 0, got 0"
    for name, least, most in (("max_tokens", 1, MOST_TOKENS), ("top_k", 0, MOST_TOKENS)):
        value = getattr(sampling, name)
        if not least <= value <= most:
            return f"expected {name} from {least} to {most}, got {value}"
    return _complaint_about_lists(sampling)


def _complaint_about_lists(sampling: Sampling) -> str | None:
    if sampling.logprobs is not None and not 0 <= sampling.logprobs <= MOST_LOGPROBS:
        return f"expected logprobs from 0 to {MOST_LOGPROBS}, got {sampling.logprobs}"
    if sampling.seed is not None and not 0 <= sampling.seed < 2**63:
        return f"expected a seed from 0 to 2**63 - 1, got {sampling.seed}"
    if sampling.json_schema is not None and sampling.ignore_eos:
        return "expected json_schema without ignore_eos: its end is the answer's, got both"
    for name in ("stop", "stop_token_ids"):
        if len(getattr(sampling, name)) > MOST_STOPS:
            return f"expected at most {MOST_STOPS} {name}, got {len(getattr(sampling, name))}"
    if any(not 1 <= len(stop) <= 1000 for stop in sampling.stop):
        return "expected stop strings of 1 to 1000 characters, got another length"
    if any(not 0 <= token <= MOST_TOKENS for token in sampling.stop_token_ids):
        return "expected stop_token_ids of 0 and more, got a negative or huge one"
    return None


def complaint_about_scale(workers: Mapping[str, int]) -> str | None:
    """None where these are roles, and numbers of workers that one can have."""
    if not workers:
        return f"expected a role of {', '.join(ROLES)} and a number of workers, got none"
    for role, count in workers.items():
        if role not in ROLES:
            return f"expected a role of {', '.join(ROLES)}, got {role}"
        if not 0 <= count <= MOST_WORKERS:
            return f"expected from 0 to {MOST_WORKERS} workers of {role}, got {count}"
    return None
