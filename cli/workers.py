"""add-worker and remove-worker."""

from __future__ import annotations

import os
import re
import secrets
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, DownloadColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from ..client import Client, Denied
from ..scheduler.stage import Stage, role_of, stages_of
from ..transport.channels import is_loopback
from ..transport.launching import COMMAND, EMULATED, Joined, Launch, Progress
from ..transport.state import StateFolder
from . import worker_options as option
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys, seconds
from .printing import console, print_json
from .termination import interrupted_by_sigterm


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl add-worker --stage encode --gpu 3")(add_worker)
    app.command(epilog="Example: msctl remove-worker encode-0 --timeout 5m")(remove_worker)


def add_worker(
    stage: option.Stages,
    gpu: option.Gpu = None,
    device: option.Device = None,
    threads: option.Threads = 0,
    nice: option.Nice = None,
    name: option.Name = "",
    data_host: option.DataHost = None,
    emulate: option.Emulate = None,
    count: option.Count = 1,
    timeout: option.Timeout = "300s",
    foreground: option.Foreground = False,
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
    json: Json = False,
) -> None:
    """Start a worker process on this host; returns when it has loaded, warmed up and joined.

    Prints `worker NAME pid PID log PATH`.
    """
    stages, limit_s = stages_named(stage), seconds(timeout)
    emulation = _emulation(emulate, count)
    options = {
        "controller": controller,
        "stages": [one.value for one in Stage if one in stages],
        "device": device_of(gpu, device),
        "threads": threads,
        "nice": nice,
        "name": name,
        "data_host": _data_host(data_host, controller),
        **emulation,
    }
    folder = StateFolder.of(controller)
    options["token"] = token_of(controller, folder, keys)
    options["keys"] = "" if keys is None else str(keys.absolute())
    log = folder.log(f"{name or role_of(stages)}-{secrets.token_hex(3)}")
    with interrupted_by_sigterm():
        command = EMULATED if emulation else COMMAND
        launch = Launch(options, log, detached=not foreground, command=command)
        try:
            with _progress() as progress:
                joined = [launch.joined(limit_s, progress) for _ in range(count)]
            if foreground:
                raise typer.Exit(_attend(launch, joined, as_json=json))
        except KeyboardInterrupt:
            launch.stop()
            raise
    _announce(joined, as_json=json)


def remove_worker(
    name: option.WorkerName,
    now: Annotated[
        bool, typer.Option("--now", help="Do not drain: others do again what it had begun.")
    ] = False,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="How long to wait until it is gone.")
    ] = "60s",
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
) -> None:
    """Drain a worker: it gets no new work, ends what it has, and leaves."""
    limit_s = seconds(timeout)
    with Client(controller, keys=keys) as client:
        client.remove_worker(name, now=now, timeout_s=limit_s)


def token_of(controller: str, folder: StateFolder, keys: Path | None) -> str:
    """Raises ControllerUnreachable before a model is loaded in vain, Denied without a token."""
    with Client(controller, keys=keys) as client:
        client.greeting()
    token = folder.token()
    if token is None:
        raise Denied(f"expected the token of {controller} in {folder.path}, got none there")
    return token


def stages_named(named: list[str]) -> frozenset[Stage]:
    """As --stage was given, perhaps several times; raises BadParameter."""
    try:
        return stages_of([one for names in named for one in names.split(",")])
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--stage") from error


def device_of(gpu: int | None, device: str | None) -> str:
    """As a worker is told; raises BadParameter."""
    if gpu is not None and device is not None:
        raise typer.BadParameter(f"expected --gpu or --device, got both: {gpu} and {device}")
    if device is not None and not re.fullmatch(r"auto|cpu|cuda(:\d+)?", device):
        raise typer.BadParameter(f"expected auto, cpu or cuda:N, got {device}")
    return f"cuda:{gpu}" if gpu is not None else device or "auto"


def _emulation(profile: str | None, count: int) -> dict[str, str | int]:
    """What an emulated worker is told beside a real one's options."""
    if profile is None and count > 1:
        raise typer.BadParameter(f"expected --emulate with --count {count}, got none")
    if profile is None:
        return {}
    file = Path(profile)
    return {"profile": str(file.absolute()) if file.exists() else profile, "count": count}


def _data_host(data_host: str | None, controller: str) -> str:
    """On a network nobody can guess which of the host's addresses the others reach."""
    if data_host is None and not is_loopback(controller):
        raise typer.BadParameter(f"expected --data-host with {controller}, got none")
    return data_host or "127.0.0.1"


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = TextColumn("loading weights"), BarColumn(), DownloadColumn(), TimeRemainingColumn()
    with Bar(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("loading", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _attend(launch: Launch, joined: list[Joined], *, as_json: bool) -> int:
    """Whoever reads the announcement may signal us at once: the worker must get it by then."""
    with launch.signalled():
        _announce(joined, as_json=as_json)
        return launch.wait()


def _announce(joined: list[Joined], *, as_json: bool) -> None:
    """A line, or an object, for each."""
    for one in joined:
        if as_json:
            print_json({"name": one.name, "pid": one.pid, "log": os.fspath(one.log)})
        else:
            print(f"worker {one.name} pid {one.pid} log {one.log}", flush=True)
