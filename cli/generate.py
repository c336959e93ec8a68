"""generate: one request from the command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from ..client import Answer, BadInput, Client
from ..client.asynchronous import submission
from ..client.options import Options, check
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys, seconds
from .printing import complain, print_json


def add(app: typer.Typer) -> None:
    app.command(epilog='Example: msctl generate "What is this?" --image seven.png')(generate)


def generate(
    prompt: Annotated[str, typer.Argument(metavar="PROMPT", help="What to ask.")],
    image: Annotated[
        list[Path] | None, typer.Option(metavar="FILE", help="An image file; may be repeated.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(metavar="N", help="Most tokens of the answer.")] = 256,
    temperature: Annotated[
        float, typer.Option(metavar="T", help="0: always the likeliest token.")
    ] = 0.0,
    top_k: Annotated[
        int, typer.Option(metavar="K", help="Only the k likeliest tokens; 0: all.")
    ] = 0,
    top_p: Annotated[
        float, typer.Option(metavar="P", help="Only the likeliest, p of the mass.")
    ] = 1.0,
    min_p: Annotated[
        float, typer.Option(metavar="P", help="Only those p times as likely as the first.")
    ] = 0.0,
    repetition_penalty: Annotated[float, typer.Option(metavar="X", help="1: none.")] = 1.0,
    presence_penalty: Annotated[float, typer.Option(metavar="X", help="0: none.")] = 0.0,
    frequency_penalty: Annotated[float, typer.Option(metavar="X", help="0: none.")] = 0.0,
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="The same seed, the same answer.")
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="End before this text; may be repeated."),
    ] = None,
    stop_token_id: Annotated[
        list[int] | None, typer.Option(metavar="ID", help="End at this token; may be repeated.")
    ] = None,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Go on where the model would end.")
    ] = False,
    logprobs: Annotated[
        int | None, typer.Option(metavar="N", help="With --json: so many of the likeliest tokens.")
    ] = None,
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="End the request after this; else the controller's limit."
        ),
    ] = None,
    slo: Annotated[
        str,
        typer.Option(
            metavar="CLASS",
            help="How urgent: interactive, standard, batch, or what else the controller has.",
        ),
    ] = "standard",
    ttft_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="First token within; else the class's time.")
    ] = None,
    tpot_ms: Annotated[
        float | None, typer.Option(metavar="MS", help="A token each; else the class's time.")
    ] = None,
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
        if json:
            print_json(shown(stream.rest()))
            return
        for chunk in stream:
            print(chunk.text, end="", flush=True)
        print(flush=True)
    if stream.answer.finish_reason == "length" and sys.stderr.isatty():
        complain(f"(cut after {len(stream.answer.token_ids)} tokens)")


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
