"""`msctl`: the commands, and the one place where what went wrong becomes a sentence."""

from __future__ import annotations

import sys
import traceback

import typer

from . import (
    api_keys,
    benching,
    checking,
    controlling,
    demo,
    events,
    gateways,
    generate,
    keys,
    metrics,
    planning,
    profiling,
    scale,
    simulating,
    stages,
    status,
    workers,
)
from .printing import WIDE, complain
from .top import command as top
from .tracing import command as tracing

GROUPS = (
    controlling,
    gateways,
    checking,
    workers,
    stages,
    scale,
    status,
    top,
    metrics,
    events,
    tracing,
    generate,
    keys,
    api_keys,
    benching,
    profiling,
    simulating,
    planning,
    demo,
)  # in the order in which --help lists their commands


def main() -> None:
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code: 0, 1 for what failed, 2 for bad usage, 130 after ctrl-C."""
    try:
        code = build()(args=arguments or ["--help"], prog_name="msctl", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except Exception as error:  # the user's border: a sentence, never a traceback
        complain(f"msctl: {_sentence(error)}")
        return getattr(error, "exit_code", 1)


def build() -> typer.Typer:
    """Help is drawn with boxes on a terminal, and not even wrapped elsewhere."""
    terminal = sys.stdout.isatty()
    names = {"help_option_names": ["-h", "--help"]}
    app = typer.Typer(
        help="ModServe: a server for large multimodal models, one stage at a time.",
        epilog="Example: msctl demo",
        add_completion=False,
        rich_markup_mode="rich" if terminal else None,
        context_settings=names if terminal else {**names, "terminal_width": WIDE},
    )
    for group in GROUPS:
        group.add(app)
    return app


def _sentence(error: Exception) -> str:
    """Errors that are meant for people have their text; any other is a bug and says where."""
    formatted = getattr(error, "format_message", None)  # of typer's usage errors
    if formatted is not None:
        return " ".join(str(formatted()).split())
    text = " ".join(str(error).split())
    if _is_ours(error):
        return text
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"a bug: {type(error).__name__}: {text} ({place.filename}:{place.lineno})"


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.startswith(f"{__package__.partition('.')[0]}.")


if __name__ == "__main__":
    main()
