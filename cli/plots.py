"""Plots that commands write: said to be impossible before anything is measured."""

from __future__ import annotations

from pathlib import Path

import typer


class NotDrawn(Exception):
    """One sentence."""


def check_plot(plot: Path) -> None:
    """Raises BadParameter for a file that is none, NotDrawn where matplotlib is not installed."""
    if plot.suffix != ".png":
        raise typer.BadParameter(f"expected NAME.png, got {plot}")
    if not plot.absolute().parent.is_dir():
        raise typer.BadParameter(f"expected a folder for {plot}, got none")
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        told = "expected matplotlib for a plot, got none: pip install 'modserve[bench]'"
        raise NotDrawn(told) from error
