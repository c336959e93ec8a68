"""generate: one request from the command line."""

from __future__ import annotations

import sys

import msgspec
import typer

from ..client import Answer, BadInput, Client, Stream
from ..client.asynchronous import submission
from ..client.options import Options, check
from . import request_options as option
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys, seconds
from .printing import complain, print_json


def add(app: typer.Typer) -> None:
    app.command(epilog='Example: msctl generate "What is this?" --image seven.png')(generate)


def generate(
    prompt: option.Prompt,
    image: option.Image = None,
    max_tokens: option.MaxTokens = 256,
    temperature: option.Temperature = 0.0,
    top_k: option.TopK = 0,
    top_p: option.TopP = 1.0,
    min_p: option.MinP = 0.0,
    repetition_penalty: option.RepetitionPenalty = 1.0,
    presence_penalty: option.PresencePenalty = 0.0,
    frequency_penalty: option.FrequencyPenalty = 0.0,
    seed: option.Seed = None,
    stop: option.Stop = None,
    stop_token_id: option.StopTokenId = None,
    ignore_eos: option.IgnoreEos = False,
    json_schema: option.JsonSchema = None,
    logprobs: option.Logprobs = None,
    timeout: option.Timeout = None,
    slo: option.Slo = "standard",
    ttft_ms: option.TtftMs = None,
    tpot_ms: option.TpotMs = None,
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Ask the model, and print its answer as it comes. Ctrl-C cancels the request."""
    options: Options = {
        "max_tokens": max_tokens,
        "temperature": temperature,
        "top_k": top_k,
        "top_p": top_p,
        "min_p": min_p,
        "repetition_penalty": repetition_penalty,
        "presence_penalty": presence_penalty,
        "frequency_penalty": frequency_penalty,
        "seed": seed,
        "stop": stop or (),
        "stop_token_ids": stop_token_id or (),
        "ignore_eos": ignore_eos,
        "json_schema": json_schema,
        "logprobs": logprobs,
        "timeout_s": None if timeout is None else seconds(timeout),
        "slo": slo,
        "ttft_ms": ttft_ms,
        "tpot_ms": tpot_ms,
    }
    try:
        check(options)
    except BadInput as error:
        raise typer.BadParameter(str(error)) from error
    submission(prompt, image or (), options)  # told before a controller is looked for
    with (
        Client(controller, keys=keys) as client,
        client.stream(prompt, image or (), **options) as stream,
    ):
        _print(stream, as_json=json)
    if not json and stream.answer.finish_reason == "length" and sys.stderr.isatty():
        complain(f"(cut after {len(stream.answer.token_ids)} tokens)")


def _print(stream: Stream, *, as_json: bool) -> None:
    """As it comes; as an object, once it is whole."""
    if as_json:
        print_json(shown(stream.rest()))
        return
    for chunk in stream:
        print(chunk.text, end="", flush=True)
    print(flush=True)


def shown(answer: Answer) -> dict[str, object]:
    """Stable keys; logprobs only where they were asked for."""
    body: dict[str, object] = {
        "text": answer.text,
        "token_ids": answer.token_ids,
        "finish_reason": answer.finish_reason,
        "usage": msgspec.to_builtins(answer.usage),
        "timing": msgspec.to_builtins(answer.timing),
        "request_id": answer.request_id,
    }
    if answer.logprobs is not None:
        body["logprobs"] = msgspec.to_builtins(answer.logprobs)
    return body
