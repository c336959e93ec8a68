"""set-stage and drain: what becomes of a worker that serves."""

from __future__ import annotations

import time
from typing import Annotated

import typer

from ..client import Client
from ..scheduler.stage import Stage, role_of
from . import worker_options as option
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys, seconds
from .printing import print_json
from .workers import stages_named

Patience = Annotated[str, typer.Option(metavar="TIME", help="How long to wait for it.")]


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl set-stage encode-1 --stage prefill,decode")(set_stage)
    app.command(epilog="Example: msctl drain encode-1 --timeout 5m")(drain)


def set_stage(
    name: option.WorkerName,
    stage: option.Stages,
    timeout: Patience = "300s",
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Have a worker serve other stages: it ends what it has, and goes on in the same process.

    Weights that the process has had are not loaded again. Its name stays. Returns when it serves.
    """
    stages, limit_s = stages_named(stage), seconds(timeout)
    begun = time.monotonic()
    with Client(controller, keys=keys) as client:
        told = client.set_stages(name, [one for one in Stage if one in stages], timeout_s=limit_s)
    took = time.monotonic() - begun
    if json:
        print_json(
            {
                "name": name,
                "stages": sorted(stages),
                "seconds": round(took, 3),
                "drain_s": round(told.drain_s, 3),
                "switch_s": round(told.switch_s, 3),
                "loaded_bytes": told.loaded_bytes,
            }
        )
    else:
        print(
            f"worker {name} serves {role_of(stages)} after {took:.2f} s: {told.drain_s:.2f} s to "
            f"drain, {told.switch_s:.2f} s to switch, {told.loaded_bytes} bytes of weights loaded",
            flush=True,
        )


def drain(
    name: option.WorkerName,
    timeout: Patience = "300s",
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Have a worker end what it has and leave, as SIGTERM does; returns when it has gone."""
    limit_s, begun = seconds(timeout), time.monotonic()
    with Client(controller, keys=keys) as client:
        client.remove_worker(name, timeout_s=limit_s)
    took = time.monotonic() - begun
    if json:
        print_json({"name": name, "seconds": round(took, 3)})
    else:
        print(f"worker {name} has left after {took:.2f} s", flush=True)
