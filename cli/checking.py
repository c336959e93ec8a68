"""check-config: what a modserve.toml means, before anything is started with it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Group
from rich.markup import escape
from rich.table import Table

from ..controller.attaining import Attaining
from ..controller.config.config import Config, read
from ..controller.config.reading import BadConfig
from ..transport.security import BadKeys, Gate
from .controlling import NoModel, local_folder
from .options import Json
from .printing import console, print_json


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl check-config modserve.toml")(check_config)


def check_config(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="As for start-controller.")],
    json: Json = False,
) -> None:
    """Check a configuration as a whole, and say what it means with the defaults filled in."""
    config = read(file)
    try:
        local_folder(config.controller.model or "tiny")
    except NoModel as error:
        raise BadConfig(f"{file}: controller.model: {error}") from error
    _check_keys(file, config)
    meaning = shown(config)
    if json:
        print_json(meaning)
    else:
        console().print(
            Group(_settings(meaning), "", _classes(meaning["slo"]), "", _stages(meaning["stages"]))
        )


def _check_keys(file: Path, config: Config) -> None:
    """As a controller does that starts with them."""
    if config.controller.keys is None:
        return
    try:
        Gate(Path(config.controller.keys))
    except BadKeys as error:
        raise BadConfig(f"{file}: controller.keys: {error}") from error


def shown(config: Config) -> dict[str, Any]:
    """Stable keys, those of the file."""
    return {
        "controller": msgspec.to_builtins(config.controller),
        "admission": msgspec.to_builtins(config.admission),
        "slo": list(Attaining(config.slo).promises()),
        "stages": {
            role: {"min": one.min, "max": one.max, "start": one.first}
            for role, one in config.stages.items()
        },
        "scaling": msgspec.to_builtins(config.scaling),
        "launching": msgspec.to_builtins(config.launching),
        "policies": msgspec.to_builtins(config.policies),
    }


def _settings(meaning: dict[str, Any]) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name in ("controller", "admission", "scaling", "launching", "policies"):
        for key, value in meaning[name].items():
            table.add_row(f"{name}.{key}", _said(value))
    return table


def _classes(classes: list[dict[str, Any]]) -> Table:
    table = _numbers("class", "TTFT", "per image token", "TPOT", "priority", "or else")
    for one in classes:
        times = (f"{one[key]:g} ms" for key in ("ttft_ms", "image_token_ms", "tpot_ms"))
        otherwise = one["degrade_to"] or "refused"
        table.add_row(one["name"], *times, str(one["priority"]), otherwise)
    return table


def _stages(stages: dict[str, dict[str, Any]]) -> Table | str:
    if not stages:
        return "workers are not limited: no [stages.ROLE]"
    table = _numbers("role", "min", "max", "at the start")
    for role, one in stages.items():
        table.add_row(role, *(_said(one[key]) for key in ("min", "max", "start")))
    return table


def _numbers(first: str, *others: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    table.add_column(first, no_wrap=True)
    for heading in others:
        table.add_column(heading, no_wrap=True, justify="right")
    return table


def _said(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else escape(str(value))
