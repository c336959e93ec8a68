"""make-api-key: who may ask a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..gateway.keys import make_key
from .printing import complain


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl make-api-key alice --api-keys keys.jsonl")(make_api_key)


def make_api_key(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key, as logs will say.")],
    api_keys: Annotated[
        Path, typer.Option(metavar="FILE", help="Where it is appended; made if there is none.")
    ],
    requests_per_minute: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most requests a minute; else any.")
    ] = None,
    concurrent: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most requests at a time; else any.")
    ] = None,
) -> None:
    """Make a key for one who may ask a gateway.

    Prints the secret, this once: the file has a hash of it. A gateway that runs takes the key
    within a second; remove its line to shut its holder out.
    """
    print(make_key(api_keys, name, requests_per_minute, concurrent))
    complain(f"gateway: start-gateway --api-keys {api_keys}; {name}: Authorization: Bearer SECRET")
