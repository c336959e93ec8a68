"""What a simulation found, as pictures. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..simulator.scenario import Result
from ..simulator.tally import Figures, Tally

PLOTS: Mapping[str, Callable[[Figure, Result, str], None]]


def draw(result: Result, title: str, folder: Path) -> list[Path]:
    """A file for each picture; raises OSError."""
    files = []
    for name, plot in PLOTS.items():
        figure = Figure(figsize=(10, 5), layout="constrained")
        plot(figure, result, title)
        figure.suptitle(title)
        figure.savefig(file := folder / f"{name}.png", dpi=110)
        files.append(file)
    return files


def _latencies(figure: Figure, result: Result, title: str) -> None:
    """The share of the requests up to a time."""
    left, right = figure.subplots(1, 2)
    kinds: dict[str, Figures] = {"text": result.tally.text, "image": result.tally.image}
    for name, figures in kinds.items():
        for axis, spread in ((left, figures.ttft), (right, figures.tpot)):
            values = [(1000 * value, share) for value, share in spread.curve()]
            if values:
                axis.step(*zip(*values, strict=True), where="post", label=name)
    for axis, metric in ((left, "TTFT"), (right, "TPOT")):
        axis.set(xscale="log", xlabel=f"{metric} in ms", ylabel="share of requests", ylim=(0, 1.01))
        axis.grid(alpha=0.3)
        if axis.lines:
            axis.legend()


def _utilisation(figure: Figure, result: Result, title: str) -> None:
    axis = figure.subplots()
    busy = result.ran.utilisation
    bars = axis.bar(list(busy), [100 * share for share in busy.values()])
    axis.bar_label(bars, fmt="%.0f %%")
    axis.set(ylabel="% of the workers' time that computed", ylim=(0, 110))


def _over_time(figure: Figure, result: Result, title: str) -> None:
    above, below = figure.subplots(2, 1, sharex=True)
    _workers(above, result)
    _attainment(below, result.tally)


def _workers(axis: Axes, result: Result) -> None:
    pools: dict[str, list[tuple[float, int]]] = {}
    for since_s, pool, count in result.ran.workers:
        pools.setdefault(pool, []).append((since_s, count))
    for pool, changes in pools.items():
        ended = (result.ran.virtual_s, changes[-1][1])
        axis.step(*zip(*changes, ended, strict=True), where="post", label=pool)
    axis.set(ylabel="workers")
    axis.set_ylim(bottom=0)
    if pools:
        axis.legend()


def _attainment(axis: Axes, tally: Tally) -> None:
    minutes = tally.by_minute
    shares = [100 * met / sent for sent, met in minutes.values()]
    axis.plot(list(minutes), shares, marker=".", linewidth=0.8)
    axis.set(xlabel="seconds", ylabel="% in time, of a minute's", ylim=(0, 105))


PLOTS = {"latencies": _latencies, "utilisation": _utilisation, "over-time": _over_time}
