"""The options of a controller that is started."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .options import DEFAULT_ENDPOINT, address


def _address(text: str | None) -> str | None:
    return None if text is None else address(text)


def _host_and_port(text: str | None) -> str | None:
    host, _, port = (text or "").rpartition(":")
    if text is not None and not (host and port.isdecimal() and int(port) < 2**16):
        raise typer.BadParameter(f"expected HOST:PORT such as 127.0.0.1:8000, got {text}")
    return text


Model = Annotated[
    str | None,
    typer.Option(
        metavar="PATH_OR_ID",
        help="Folder or hub id of a Hugging Face checkpoint, or tiny: the one that ships.",
    ),
]
Bind = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Address to listen on; port 0 picks a free one.",
        callback=_address,
        show_default=DEFAULT_ENDPOINT,
    ),
]
Config = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="A modserve.toml; what is said here goes before what is said there.",
    ),
]
Insecure = Annotated[
    bool | None,
    typer.Option(
        "--insecure",
        help="Allow an address that other hosts can reach without --keys: messages are neither "
        "encrypted nor authenticated, so only for a private network.",
    ),
]
Keys = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER",
        help="Encrypt, and hear only whose keys are in it: see `msctl keygen`.",
    ),
]
Journal = Annotated[
    bool | None,
    typer.Option(
        "--journal/--no-journal",
        help="Write accepted requests down, so that they outlive this process.",
        show_default="journal",
    ),
]
StrictJournal = Annotated[
    bool | None,
    typer.Option(
        "--strict-journal",
        help="Refuse requests while they cannot be written down, rather than serve them.",
    ),
]
PrefixCache = Annotated[
    int | None,
    typer.Option(
        metavar="MB",
        min=0,
        help="Memory of each text worker that the KV of ended requests may keep for prompts "
        "that begin the same; all KV memory that is free by default, 0 for none.",
    ),
]
ImageCache = Annotated[
    int | None,
    typer.Option(
        metavar="MB",
        min=0,
        help="Memory of each encode worker for embeddings of images that may come again; "
        "all of its store that is free by default, 0 for none.",
    ),
]
Http = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Start a gateway there, which answers as OpenAI's API does; port 0 picks a free one.",
        callback=_host_and_port,
    ),
]
ApiKeys = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --http: answer those alone who have a key of `msctl make-api-key`.",
    ),
]
ReadyJson = Annotated[bool, typer.Option("--json", help="Print the ready line as a JSON object.")]
