"""status: what the controller reports, as tables or as it came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from ..client import Client
from ..scheduler.stage import Stage
from ..transport.state import StateFolder
from .attainment import attainment
from .options import DEFAULT_ENDPOINT, Controller, Json, Keys
from .printing import console, print_json

STATES = {
    "ready": "green",
    "loading": "yellow",
    "draining": "yellow",
    "switching": "yellow",
    "late": "red",
}
NOTHING = "-"


def add(app: typer.Typer) -> None:
    app.command(epilog="Example: msctl status --json")(status)


def status(
    controller: Controller = DEFAULT_ENDPOINT, keys: Keys = None, json: Json = False
) -> None:
    """Show the workers, their stages, queues and memory, the requests, and the rates."""
    with Client(controller, keys=keys) as client:
        report = client.status()
    report["controller"]["state_folder"] = str(StateFolder.of(controller).path)
    if json:
        print_json(report)
    else:
        show(report, console())


def show(report: Mapping[str, Any], out: Console) -> None:
    out.print(
        Group(
            _controller(report["controller"], report["journal"]),
            "",
            _workers(report["workers"]),
            "",
        )
    )
    out.print(_totals(report))
    if report["attainment"]:
        out.print(Group("", attainment(report["attainment"])))


def _controller(one: Mapping[str, Any], journal: Mapping[str, Any]) -> Table:
    table = _plain("bold")
    up = _duration(one["uptime_s"])
    table.add_row("controller", f"{one['endpoint']}  pid {one['pid']}  up {up}")
    table.add_row("model", escape(str(one["model"])))
    table.add_row("state", escape(str(one["state_folder"])))
    if journal["error"]:
        table.add_row("journal", Text(f"failing: {journal['error']}", style="red"))
    return table


def _workers(workers: list[Mapping[str, Any]]) -> Table | Text:
    if not workers:
        return Text("no workers yet: msctl add-worker --stage all")
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for heading in ("worker", "stages", "state", "device", "pid"):
        table.add_column(heading, no_wrap=True)
    for heading in ("requests", "queued", "KV blocks", "embeddings", "rate", "busy", "memory"):
        table.add_column(heading, no_wrap=True, justify="right")
    for worker in workers:
        table.add_row(*_row(worker))
    return table


def _row(worker: Mapping[str, Any]) -> list[str | Text]:
    stages = worker["stages"]
    text, encode = "decode" in stages or "prefill" in stages, "encode" in stages
    state = worker["state"]
    if state == "loading":
        state = f"loading {worker['loaded']:.0%}"
    return [
        worker["name"],
        ",".join(stage for stage in Stage if stage in stages),
        Text(state, STATES.get(worker["state"], "")),
        worker["device"],
        str(worker["pid"]),
        f"{worker['running']} + {worker['waiting']}" if text else NOTHING,
        _queued(worker, text=text, encode=encode),
        f"{worker['kv_blocks_used']}/{worker['kv_blocks']}" if text else NOTHING,
        f"{_size(worker['store_bytes_used'])}/{_size(worker['store_bytes'])}"
        if encode
        else NOTHING,
        _rate(worker, text=text, encode=encode),
        f"{worker['busy']:.0%}",
        _size(worker["resident_bytes"]),
    ]


def _queued(worker: Mapping[str, Any], *, text: bool, encode: bool) -> str:
    parts = [f"{worker['pending_tokens']} tok"] if text else []
    parts += [f"{worker['pending_image_tokens']} img"] if encode else []
    return " ".join(parts)


def _rate(worker: Mapping[str, Any], *, text: bool, encode: bool) -> str:
    parts = [f"{worker['tokens_per_s']:.0f} tok/s"] if text else []
    parts += [f"{worker['image_tokens_per_s']:.0f} img/s"] if encode else []
    return " ".join(parts)


def _totals(report: Mapping[str, Any]) -> Table:
    requests, queues, rates = report["requests"], report["queues"], report["rates"]
    phases = ", ".join(f"{phase} {count}" for phase, count in requests["by_phase"].items())
    ends = ("finished", "failed", "cancelled", "rejected", "degraded")
    table = _plain("bold")
    table.add_row("requests", f"open {requests['open']}" + (f" ({phases})" if phases else ""))
    table.add_row("", "  ".join(f"{end} {requests[end]}" for end in ends))
    table.add_row("queues", "  ".join(f"{name} {length}" for name, length in queues.items()))
    table.add_row("caches", _caches(report))
    table.add_row(
        "rates",
        f"{rates['requests_per_s']:.2f} requests/s  {rates['tokens_per_s']:.0f} tokens/s  "
        f"{rates['image_tokens_per_s']:.0f} image tokens/s",
    )
    return table


def prefix_tokens(report: Mapping[str, Any]) -> tuple[int, int]:
    """Prompt tokens that the prefix caches of all workers were asked for, and those found."""
    asked = sum(one["prefix_tokens"] for one in report["workers"])
    return asked, sum(one["prefix_hit_tokens"] for one in report["workers"])


def _caches(report: Mapping[str, Any]) -> str:
    asked, found = prefix_tokens(report)
    images = report["image_cache"]
    return (
        f"{found} of {asked} prompt tokens found  "
        f"{images['found']} of {images['asked']} images found"
    )


def _plain(first: str) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 3, 0, 0))
    table.add_column(style=first)
    table.add_column(overflow="fold")
    return table


def _size(count: int) -> str:
    """In binary units, two digits at least."""
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def _duration(total_s: float) -> str:
    minutes, rest = divmod(int(total_s), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
