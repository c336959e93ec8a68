"""Load, workers and attainment over time, as a picture. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ...client.load.record import Record
from .story import BIN_S, TPOT_S, TTFT_S, Story, attainment, roles

COLOURS = {"image": "C1", "text": "C0", "encode": "C1"}


def draw(story: Story, file: Path) -> None:
    figure = Figure(figsize=(11, 8), layout="constrained")
    load, workers, attained = figure.subplots(3, 1, sharex=True)
    _load(load, story)
    _workers(workers, story)
    _attainment(attained, story)
    for axis in (load, workers, attained):
        _phases(axis, story)
        axis.grid(alpha=0.3)
    attained.set_xlabel("seconds")
    figure.suptitle("Workers come and go with the traffic of their stage")
    figure.savefig(file, dpi=110)


def _load(axis: Axes, story: Story) -> None:
    for kind in ("image", "text"):
        axis.plot(*story.over_time(_rate, kind), label=f"{kind} requests", color=COLOURS[kind])
    axis.set(title="load", ylabel="requests a second", ylim=(0, None))
    axis.legend(loc="upper right")


def _rate(records: Sequence[Record]) -> float:
    return len(records) / BIN_S


def _workers(axis: Axes, story: Story) -> None:
    at_s = [one.at_s for one in story.samples]
    for role in roles([one.serving for one in story.samples]):
        counts = [one.serving.get(role, 0) for one in story.samples]
        axis.step(at_s, counts, where="post", label=role, color=COLOURS.get(role))
    coming = [one.coming for one in story.samples]
    axis.fill_between(at_s, coming, step="post", color="grey", alpha=0.3, label="come or go")
    axis.set(title="workers that serve", ylim=(0, None))
    axis.yaxis.set_major_locator(MaxNLocator(integer=True))
    axis.legend(loc="upper right")


def _attainment(axis: Axes, story: Story) -> None:
    for kind in ("image", "text"):
        at_s, shares = story.over_time(attainment, kind)
        axis.plot(at_s, [100 * one for one in shares], label=kind, color=COLOURS[kind])
    promise = f"first token within {TTFT_S:g} s, then one every {1000 * TPOT_S:g} ms"
    axis.set(title=f"attainment: {promise}", ylabel="% of those sent then", ylim=(-3, 103))
    axis.legend(loc="lower right")


def _phases(axis: Axes, story: Story) -> None:
    begun = 0.0
    for phase in story.plan:
        if "burst" in phase.name:
            axis.axvspan(begun, begun + phase.seconds, color="C3", alpha=0.08)
        begun += phase.seconds
