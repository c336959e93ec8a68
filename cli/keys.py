"""keygen: who may speak to a controller."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ..transport.security import ALLOWED, make
from ..transport.state import keys_folder
from .printing import complain


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl keygen alice")(keygen)


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose keys: a user or a host.")],
    folder: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Where the controller's keys are, or are to be made."),
    ] = None,
) -> None:
    """Make keys for one who may speak to a controller, and the controller's own if it has none.

    Prints the file to hand over. Whoever has it may ask for answers; adding and stopping workers
    needs the controller's token too. Remove NAME from the folder `allowed` to shut it out.
    """
    where = folder or keys_folder()
    print(make(where, name))
    complain(
        f"controller: --keys {where}; {name}: --keys FILE or MODSERVE_KEYS; to shut {name} out, "
        f"remove {where / ALLOWED / name}"
    )
