"""Which launcher: by its name, after a look at whether it can work here."""

from __future__ import annotations

from collections.abc import Callable, Set
from importlib.util import find_spec

from ...transport.channels import is_loopback
from .invitation import Invitation
from .launcher import BadLauncher, Launcher
from .local import Local
from .manual import Manual
from .on_ray import OnRay
from .options import LaunchOptions

LAUNCHERS = ("manual", "local", "ray")


def check(options: LaunchOptions, endpoint: str, *, closed: bool) -> None:
    """Raises BadLauncher. `closed`: strangers are kept out, by keys or by a private network."""
    kind = options.launcher
    if kind not in LAUNCHERS:
        raise BadLauncher(f"expected a launcher of {', '.join(LAUNCHERS)}, got {kind}")
    if any(gpu < 0 for gpu in options.gpus) or len(set(options.gpus)) < len(options.gpus):
        raise BadLauncher(f"expected different GPU numbers from 0 up, got {options.gpus}")
    if kind == "ray":
        _check_ray(endpoint, closed=closed)
    if kind == "local" and not is_loopback(endpoint) and not options.data_host:
        raise BadLauncher(f"expected --data-host with --launcher local at {endpoint}, got none")


def _check_ray(endpoint: str, *, closed: bool) -> None:
    if find_spec("ray") is None:
        raise BadLauncher(
            "expected the package ray for --launcher ray (pip install 'modserve[ray]'), got none"
        )
    if is_loopback(endpoint) or not closed:
        got = endpoint if closed else f"{endpoint} without keys"
        raise BadLauncher(
            "expected --keys and a --bind that other hosts reach with --launcher ray, whose "
            f"workers start on other hosts, got {got}"
        )


def make(
    options: LaunchOptions,
    invite: Callable[[], Invitation],
    busy_gpus: Callable[[], Set[int]],
) -> Launcher:
    """The launcher of options that `check` has let pass. Needs a running loop."""
    if options.launcher == "local":
        return Local(options, invite, busy_gpus)
    return OnRay(options, invite) if options.launcher == "ray" else Manual(invite)
