"""Results that a command writes to a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import typer


class NotSaved(Exception):
    """One sentence."""


def check_place(file: Path | None) -> None:
    """Raises BadParameter for a file that could not be written for want of its folder."""
    if file is not None and not file.absolute().parent.is_dir():
        raise typer.BadParameter(f"expected a folder for {file}, got none")


def is_screen(file: Path | None) -> bool:
    return file is not None and str(file) == "-"


def save(result: Mapping[str, Any], file: Path) -> None:
    """As JSON, `-` to the screen; raises NotSaved."""
    text = orjson.dumps(result, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    if is_screen(file):
        print(text.decode(), end="", flush=True)
        return
    try:
        file.write_bytes(text)
    except OSError as error:
        raise NotSaved(f"cannot write {file}: {error.strerror}") from error
