"""Plots that commands write: said to be impossible before anything is measured."""

from __future__ import annotations

from pathlib import Path

import typer


class NotDrawn(Exception):
    """One sentence."""


def check_plot(plot: Path) -> None:
    """Raises BadParameter for a file that is none, NotDrawn where matplotlib is not installed."""
    if plot.is_dir():
        raise typer.BadParameter(f"expected a file, got the folder {plot}")
    if plot.suffix != ".png":
        raise typer.BadParameter(f"expected NAME.png, got {plot}")
    if not plot.absolute().parent.is_dir():
        raise typer.BadParameter(f"expected a folder for {plot}, got none")
    _check_library()


def check_folder(folder: Path) -> None:
    """The same for a folder of plots, which may not be there yet."""
    if not folder.absolute().parent.is_dir() or (folder.exists() and not folder.is_dir()):
        raise typer.BadParameter(f"expected a folder, or a place for one, got {folder}")
    _check_library()


def _check_library() -> None:
    try:
        import matplotlib  # noqa: F401
    except ModuleNotFoundError as error:
        told = "expected matplotlib for a plot, got none: pip install 'modserve[bench]'"
        raise NotDrawn(told) from error
