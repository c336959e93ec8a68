"""What was measured of each stage, and what its cost says, as a picture. Needs matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..scheduler.costs.profile import BatchWork, PictureWork, Point, Profile, Work, seconds_of
from ..scheduler.costs.text import TextWork
from .profile_tables import stage_of

PANELS = {  # stage: label of the amount
    "preprocess": "pixels",
    "encode": "image tokens",
    "prefill": "tokens of the chunk",
    "decode": "decodes at once",
}


def draw(profiles: Sequence[Profile], file: Path) -> None:
    figure = Figure(figsize=(13, 7.5), layout="constrained")
    axes: Sequence[Axes] = figure.subplots(2, 3).flat
    for axis, (stage, label) in zip(axes, PANELS.items(), strict=False):
        for profile in profiles:
            _panel(axis, profile, [p for p in profile.points if stage_of(p.work) == stage])
        axis.set(title=stage, xlabel=label, ylabel="ms")
    _agreement(axes[4], profiles)
    axes[5].set_axis_off()
    model = profiles[0].model if profiles else ""
    figure.suptitle(f"{model}: points measured, lines predicted, hollow points held out")
    figure.savefig(file, dpi=110)


def _panel(axis: Axes, profile: Profile, points: Sequence[Point]) -> None:
    """A line for each number of tokens that lies behind one request."""
    for behind in sorted({_behind(point.work) for point in points}):
        those = sorted((p for p in points if _behind(p.work) == behind), key=_amount_of)
        amounts = [_amount_of(point) for point in those]
        predicted = [1000 * seconds_of(profile.cost, point.work) for point in those]
        (line,) = axis.plot(amounts, predicted, label=f"{behind:,} behind")
        for held_out in (False, True):
            some = [point for point in those if point.held_out is held_out]
            axis.plot(
                [_amount_of(point) for point in some],
                [1000 * point.seconds for point in some],
                "o",
                color=line.get_color(),
                fillstyle="none" if held_out else "full",
            )
    if isinstance(profile.points[0].work, TextWork) and points:
        axis.legend(fontsize="small")


def _agreement(axis: Axes, profiles: Sequence[Profile]) -> None:
    for profile in profiles:
        held_out = [point for point in profile.points if point.held_out]
        measured = [1000 * point.seconds for point in held_out]
        predicted = [1000 * seconds_of(profile.cost, point.work) for point in held_out]
        error = "" if profile.error is None else f", median {profile.error.median:.0%} off"
        axis.loglog(measured, predicted, "o", label=f"{profile.component}{error}")
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], color="grey", linewidth=0.8)
    axis.set(title="held out", xlabel="measured ms", ylabel="predicted ms")
    axis.legend(fontsize="small")


def _behind(work: Work) -> int:
    if not isinstance(work, TextWork):
        return 0
    if work.decodes:
        return work.decode_context // work.decodes
    return sum(start for start, _ in work.chunks)


def _amount_of(point: Point) -> int:
    match point.work:
        case PictureWork(pixels):
            return pixels
        case BatchWork(image_tokens=tokens):
            return tokens
        case TextWork() as work:
            return work.rows
