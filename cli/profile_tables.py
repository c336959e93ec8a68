"""Profiles as tables: every point beside its prediction, and the fitted costs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from ..scheduler.costs.profile import (
    BatchWork,
    PictureWork,
    Point,
    Profile,
    Work,
    seconds_of,
)
from ..scheduler.costs.text import TextWork

GOAL, FAR = 0.10, 0.25  # of the held-out median


def show(profiles: Sequence[Profile], console: Console) -> None:
    for profile in profiles:
        console.print(_points(profile))
    console.print(_costs(profiles))
    if far := [str(one.component) for one in profiles if one.error and one.error.median > FAR]:
        which = " and ".join(far)
        console.print(f"Predictions of {which} are more than {FAR:.0%} off: was the machine quiet?")


def stage_of(work: Work) -> str:
    match work:
        case PictureWork():
            return "preprocess"
        case BatchWork():
            return "encode"
        case TextWork(chunks=()):
            return "decode"
        case TextWork(decodes=0):
            return "prefill"
        case TextWork():
            return "prefill + decode"


def _points(profile: Profile) -> Table:
    where = f"{profile.machine.processor}, {profile.threads} threads, {profile.dtype}"
    table = Table(title=f"{profile.component} of {profile.model} on {where}", title_justify="left")
    for heading in ("", "work", "batch", "context", "measured", "predicted", "off", "held out"):
        table.add_column(heading, justify="left" if heading in ("", "held out") else "right")
    for point in sorted(profile.points, key=_order):
        table.add_row(*_cells(profile, point))
    return table


def _order(point: Point) -> tuple[str, int, float]:
    work = point.work
    context = work.decode_context if isinstance(work, TextWork) else 0
    return stage_of(work), context, point.seconds


def _cells(profile: Profile, point: Point) -> Iterator[str]:
    yield stage_of(point.work)
    yield from _amounts(point.work)
    yield _ms(point.seconds)
    yield _ms(seconds_of(profile.cost, point.work))
    yield f"{profile.error_of(point):.0%}"
    yield "yes" if point.held_out else ""


def _amounts(work: Work) -> tuple[str, str, str]:
    """What is computed, how many at once, and what lies behind."""
    match work:
        case PictureWork(pixels):
            return f"{pixels:,} pixels", "1", ""
        case BatchWork(images, image_tokens):
            return f"{image_tokens:,} image tokens", f"{images}", ""
        case TextWork():
            behind = sum(start for start, _ in work.chunks) + work.decode_context
            batch = len(work.chunks) + work.decodes
            return f"{work.rows:,} tokens", f"{batch}", f"{behind:,}"


def _costs(profiles: Iterable[Profile]) -> Table:
    table = Table(title="fitted, and how far off where the fit did not look", title_justify="left")
    for heading in ("", "cost", "points", "median", "worst"):
        table.add_column(heading, justify="left" if heading in ("", "cost") else "right")
    for profile in profiles:
        error = profile.error
        off = ("", "") if error is None else (f"{error.median:.1%}", f"{error.worst:.1%}")
        colour = "green" if error is not None and error.median <= GOAL else "red"
        cost = ", ".join(_parameter(*one) for one in asdict(profile.cost).items())
        table.add_row(
            profile.component, cost, f"{len(profile.points)}", f"[{colour}]{off[0]}[/]", off[1]
        )
    return table


def _parameter(name: str, value: float) -> str:
    if not name.endswith("_s"):
        return f"{name} {value:g}"
    unit, scale = next(one for one in UNITS if value >= 1 / one[1] or one[0] == "ns")
    return f"{name.removesuffix('_s')} {value * scale:.3g} {unit}"


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:,.2f} ms"


UNITS = (("s", 1.0), ("ms", 1e3), ("µs", 1e6), ("ns", 1e9))
