"""The options of a gateway that is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Port = Annotated[
    int, typer.Option(metavar="PORT", min=0, max=65535, help="Port to listen on; 0: a free one.")
]
Host = Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")]
ModelName = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAME",
        help="What the model is called in requests, in place of the controller's name; may be "
        "repeated.",
    ),
]
ApiKeys = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Answer those alone who have a key of `msctl make-api-key`."),
]
TlsCert = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Certificate chain (PEM): serve HTTPS.")
]
TlsKey = Annotated[Path | None, typer.Option(metavar="FILE", help="Its private key (PEM).")]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure",
        help="Allow an address that other hosts can reach without --api-keys: anybody may ask.",
    ),
]
MaxBody = Annotated[
    int, typer.Option(metavar="MB", min=1, max=1024, help="Largest body of a request.")
]
AllowMedia = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PLACE",
        help="Host, *.host, address or network, :PORT behind it or not, that pictures may be "
        "fetched from, an inner network too; may be repeated.",
    ),
]
DenyMedia = Annotated[
    list[str] | None,
    typer.Option(metavar="PLACE", help="The same, that they may not; goes before what is allowed."),
]
ListedMedia = Annotated[
    bool,
    typer.Option("--listed-media", help="Fetch pictures from allowed places alone."),
]
DefaultMaxTokens = Annotated[
    int,
    typer.Option(metavar="N", min=1, help="Most tokens of a chat's answer that names no length."),
]
