"""The options of a request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Prompt = Annotated[str, typer.Argument(metavar="PROMPT", help="What to ask.")]
Image = Annotated[
    list[Path] | None, typer.Option(metavar="FILE", help="An image file; may be repeated.")
]
MaxTokens = Annotated[int, typer.Option(metavar="N", help="Most tokens of the answer.")]
Temperature = Annotated[float, typer.Option(metavar="T", help="0: always the likeliest token.")]
TopK = Annotated[int, typer.Option(metavar="K", help="Only the k likeliest tokens; 0: all.")]
TopP = Annotated[float, typer.Option(metavar="P", help="Only the likeliest, p of the mass.")]
MinP = Annotated[
    float, typer.Option(metavar="P", help="Only those p times as likely as the first.")
]
RepetitionPenalty = Annotated[float, typer.Option(metavar="X", help="1: none.")]
PresencePenalty = Annotated[float, typer.Option(metavar="X", help="0: none.")]
FrequencyPenalty = Annotated[float, typer.Option(metavar="X", help="0: none.")]
Seed = Annotated[int | None, typer.Option(metavar="N", help="The same seed, the same answer.")]
Stop = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="End before this text; may be repeated."),
]
StopTokenId = Annotated[
    list[int] | None, typer.Option(metavar="ID", help="End at this token; may be repeated.")
]
IgnoreEos = Annotated[bool, typer.Option("--ignore-eos", help="Go on where the model would end.")]
JsonSchema = Annotated[
    str | None, typer.Option(metavar="TEXT", help="Answer in JSON that follows this schema.")
]
Logprobs = Annotated[
    int | None, typer.Option(metavar="N", help="With --json: so many of the likeliest tokens.")
]
Timeout = Annotated[
    str | None,
    typer.Option(metavar="TIME", help="End the request after this; else the controller's limit."),
]
Slo = Annotated[
    str,
    typer.Option(
        metavar="CLASS",
        help="How urgent: interactive, standard, batch, or what else the controller has.",
    ),
]
TtftMs = Annotated[
    float | None, typer.Option(metavar="MS", help="First token within; else the class's time.")
]
TpotMs = Annotated[
    float | None, typer.Option(metavar="MS", help="A token each; else the class's time.")
]
