"""What a worker needs to find its controller and to be let in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from ...transport.security import make

NAME = "workers"  # under which launched workers have keys
EVERYWHERE = ("0.0.0.0", "*", "[::]")


@dataclass(frozen=True, slots=True)
class Invitation:
    controller: str  # its endpoint, as bound
    token: str = field(repr=False)
    keys: Path | None = None  # file of a worker's keys
    data_host: str = "127.0.0.1"


def reachable(endpoint: str, host: str) -> str:
    """Where to connect to; `host` is the address of a controller that listens everywhere."""
    scheme, _, rest = endpoint.partition("://")
    bound, _, port = rest.rpartition(":")
    return f"{scheme}://{host if bound in EVERYWHERE else bound}:{port}"


def keys_of_workers(folder: Path | None, launcher: str) -> Path | None:
    """The file of the keys that launched workers show, made where there is none; raises BadKeys.

    `folder`: the controller's keys, None without any.
    """
    if folder is None:
        return None
    if launcher == "manual":
        return folder / "HOST.json"  # as `msctl keygen HOST` makes it
    file = folder / f"{NAME}.json"
    return file if file.exists() else make(folder, NAME)
