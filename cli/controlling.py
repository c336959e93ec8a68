"""start-controller and stop."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from ..client import Client
from ..controller.config.config import Config, read
from ..controller.config.serving import options_of
from ..controller.config.tables import ControllerTable
from ..controller.options import ControllerOptions
from ..transport.channels import is_loopback
from . import controller_options as option
from .front_door import FrontDoor
from .launchers import DataHost, Gpus, Launcher, RayAddress, RayResources, launching
from .options import DEFAULT_ENDPOINT, Controller, Keys, seconds
from .printing import complain

TINY = Path(__file__).parents[1] / "tiny" / "checkpoint"
HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")
SERVED = ("*.json", "*.safetensors", "*.jinja")  # of a hub's files; never a pickle
EXIT_S = 10.0  # from the controller's last word to the end of its process


class NoModel(Exception):
    pass


def add(app: typer.Typer) -> None:
    app.command(
        epilog="Example: msctl start-controller --model /models/llava-onevision-qwen2-7b-ov-hf"
    )(start_controller)
    app.command(epilog="Example: msctl stop --drain")(stop)


def start_controller(
    model: option.Model = None,
    bind: option.Bind = None,
    config: option.Config = None,
    insecure: option.Insecure = None,
    keys: option.Keys = None,
    journal: option.Journal = None,
    strict_journal: option.StrictJournal = None,
    prefix_cache: option.PrefixCache = None,
    image_cache: option.ImageCache = None,
    launcher: Launcher = None,
    gpus: Gpus = None,
    data_host: DataHost = None,
    ray_address: RayAddress = None,
    ray_resources: RayResources = None,
    http: option.Http = None,
    api_keys: option.ApiKeys = None,
    json: option.ReadyJson = False,
) -> None:
    """Serve one model: take requests and give them to workers. Stays in the foreground.

    Prints `ready ADDRESS` when it listens (with --http that of the gateway behind it); add workers
    then. The log goes to stderr.
    """
    from ..controller.main import serve  # takes a moment to import

    told = Config() if config is None else read(config)
    given = {
        "model": model,
        "bind": bind,
        "insecure": insecure,
        "keys": None if keys is None else str(keys),
        "journal": journal,
        "strict_journal": strict_journal,
        "prefix_cache_mb": prefix_cache,
        "image_cache_mb": image_cache,
    }
    one = _overruled(told.controller, given)
    if one.strict_journal and not one.journal:
        raise typer.BadParameter("expected --strict-journal or --no-journal, got both")
    options = options_of(replace(told, controller=one), model_folder(one.model), json=json)
    starting = launching(options.launching, launcher, gpus, data_host, ray_address, ray_resources)
    serve(replace(options, launching=starting), _front_door(http, api_keys, options))


def _front_door(
    http: str | None, api_keys: Path | None, options: ControllerOptions
) -> FrontDoor | None:
    if http is None:
        if api_keys is not None:
            raise typer.BadParameter("expected --http beside --api-keys, got none")
        return None
    told = [] if api_keys is None else ["--api-keys", str(api_keys)]
    told += ["--insecure"] if options.insecure else []
    return FrontDoor(http, keys=options.keys, options=told)


def _overruled(table: ControllerTable, given: dict[str, Any]) -> ControllerTable:
    """The command line goes before the file."""
    named = {name: value for name, value in given.items() if value is not None}
    return msgspec.structs.replace(table, **named)


def stop(
    drain: Annotated[
        bool, typer.Option("--drain", help="Let the open requests end; admit no new ones.")
    ] = False,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Stop the controller alone: the next one at its address goes on with its "
            "requests and workers.",
        ),
    ] = False,
    timeout: Annotated[str, typer.Option(metavar="TIME", help="How long to wait for it.")] = "60s",
    controller: Controller = DEFAULT_ENDPOINT,
    keys: Keys = None,
) -> None:
    """Stop the controller and all its workers; returns when they have ended."""
    if drain and keep:
        raise typer.BadParameter("expected --drain or --keep, got both")
    limit_s = seconds(timeout)
    with Client(controller, keys=keys) as client, _process_of(client) as process:
        client.shutdown(drain=drain, keep=keep, timeout_s=limit_s)
        if process is not None:  # its address is free again when this returns
            select.select([process], [], [], EXIT_S)


@contextmanager
def _process_of(client: Client) -> Iterator[int | None]:
    """A descriptor that is readable once the controller's process has ended, if there is one."""
    if not (is_loopback(client.endpoint) and hasattr(os, "pidfd_open")):
        yield None
        return
    descriptor = os.pidfd_open(client.status()["controller"]["pid"])
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def model_folder(model: str | None) -> Path:
    """Raises NoModel where there is no folder."""
    if model is None:
        complain("no --model given: serving tiny, the small trained model that ships")
        return TINY
    return local_folder(model) or _from_hub(model)


def local_folder(model: str) -> Path | None:
    """None for what may be on the hub; raises NoModel for what is nowhere."""
    if model == "tiny":
        return TINY
    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder.resolve()
    if HUB_ID.fullmatch(model) and not folder.exists():
        return None
    raise NoModel(f"expected a folder with a checkpoint, a hub id, or tiny, got {model}")


def _from_hub(model: str) -> Path:
    """The hub's snapshot: from this host's cache, or downloaded into it. Raises NoModel."""
    from huggingface_hub import snapshot_download  # takes a moment to import
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    complain(f"fetching {model} from the Hugging Face hub, or from the cache of this host")
    try:
        return Path(snapshot_download(model, allow_patterns=list(SERVED)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        why = " ".join(str(error).split())[:300]
        raise NoModel(f"expected a folder, a hub id or tiny, got {model}: {why}") from error
