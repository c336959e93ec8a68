"""The options of the commands that name a worker or its stages."""

from __future__ import annotations

from typing import Annotated

import typer

WorkerName = Annotated[str, typer.Argument(metavar="NAME", help="As `msctl status` shows it.")]
Stages = Annotated[
    list[str],
    typer.Option(
        metavar="STAGE", help="encode, prefill, decode, text or all; may be repeated or a,b."
    ),
]
Gpu = Annotated[int | None, typer.Option(metavar="N", min=0, help="Number of a GPU of this host.")]
Device = Annotated[
    str | None,
    typer.Option(
        metavar="DEVICE", help="cpu, cuda:N or auto: a GPU where there is one, else the CPU."
    ),
]
Threads = Annotated[
    int,
    typer.Option(
        metavar="N", min=0, help="CPU threads; 0: the controller shares out the host's cores."
    ),
]
Nice = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=0,
        max=19,
        help="How much its computing yields to others of the host; by default, on a CPU, 0 "
        "where it decodes, 5 where it prefills, 10 where it encodes alone.",
    ),
]
Name = Annotated[str, typer.Option(metavar="NAME", help="Its name; else the controller gives one.")]
DataHost = Annotated[
    str | None,
    typer.Option(
        metavar="HOST",
        help="Address of this host that other workers send tensors to, 127.0.0.1 by default. "
        "Tensors are neither encrypted nor authenticated: use a private network.",
    ),
]
Emulate = Annotated[
    str | None,
    typer.Option(
        metavar="PROFILE",
        help="Do not compute but sleep, as long as the costs in this JSON file say; `instant`: "
        "not at all. Its answers are made up.",
    ),
]
Count = Annotated[
    int, typer.Option(metavar="N", min=1, help="With --emulate: so many, in one process.")
]
Timeout = Annotated[
    str, typer.Option(metavar="TIME", help="How long it may take to load and join.")
]
Foreground = Annotated[
    bool, typer.Option("--foreground", help="Stay attached, as systemd and containers need.")
]
