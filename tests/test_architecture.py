"""Who may import whom: the arrows of README.md, checked by reading every import there is.

An import counts wherever it stands, in a function or under TYPE_CHECKING too: an arrow that is
hidden is still an arrow.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = "modserve"
MAY_IMPORT: dict[str, set[str]] = {
    "scheduler": set(),
    "transport": {"scheduler"},
    "worker": {"scheduler", "transport"},
    "controller": {"scheduler", "transport"},
    "client": {"transport"},
    "gateway": {"client"},
    "simulator": {"scheduler"},
    "cli": {"scheduler", "transport", "controller", "client", "gateway", "simulator", "tiny"},
    "tiny": set(),
}
USERS = {"tests", "bench", "docs", "examples"}  # they import as users do, and nobody imports them
NO_THINKING = {  # what has a clock, dice, threads, sockets, files or a second core
    *("asyncio", "concurrent", "multiprocessing", "sched", "selectors", "signal", "threading"),
    *("datetime", "random", "secrets", "time", "uuid"),
    *("logging", "os", "pathlib", "shutil", "socket", "subprocess", "tempfile"),
}


def imports(file: Path, root: Path) -> Iterator[tuple[str, bool]]:
    """(dotted name, whether it was written relatively), our own names from the package on."""
    here = (PACKAGE, *file.relative_to(root).parent.parts)
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else ()
            module = (*above, *(node.module.split(".") if node.module else ()))
            for alias in node.names:
                yield ".".join((*module, alias.name)), bool(node.level)


def wrong_arrows(root: Path) -> list[str]:
    """One line for each import of a folder that its row of MAY_IMPORT does not allow."""
    found = []
    for folder, allowed in MAY_IMPORT.items():
        for file in sorted((root / folder).rglob("*.py")):
            for name, relative in imports(file, root):
                package, _, inside = name.partition(".")
                target = inside.partition(".")[0]
                if package != PACKAGE:
                    continue
                if not relative:
                    found.append(f"{file.relative_to(root)}: expected a relative import of {name}")
                elif target not in allowed | {folder}:
                    found.append(f"{file.relative_to(root)}: {folder} may not import {target}")
    return found


def impure_imports(root: Path) -> list[str]:
    """Imports of scheduler/ that are neither itself nor a pure part of the standard library."""
    pure = sys.stdlib_module_names - NO_THINKING
    return [
        f"{file.relative_to(root)}: scheduler may not import {name}"
        for file in sorted((root / "scheduler").rglob("*.py"))
        for name, relative in imports(file, root)
        if not relative and name.partition(".")[0] not in pure
    ]


def test_every_arrow_points_down() -> None:
    assert wrong_arrows(ROOT) == []


def test_the_scheduler_only_thinks() -> None:
    assert impure_imports(ROOT) == []


def test_every_folder_of_the_package_has_its_row() -> None:
    folders = {file.parent.name for file in ROOT.glob("*/__init__.py")} - USERS
    assert folders == MAY_IMPORT.keys()


def test_every_package_is_installed() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    there = {
        ".".join((PACKAGE, *file.relative_to(ROOT).parent.parts))
        for folder in MAY_IMPORT
        for file in (ROOT / folder).rglob("__init__.py")
    }
    assert set(listed) == {PACKAGE, *there}


def test_the_root_holds_one_python_file() -> None:
    assert [file.name for file in ROOT.glob("*.py")] == ["__init__.py"]


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("scheduler/core.py", "from ..transport import messages"),
        ("scheduler/geometry/shape.py", "from ...transport.messages import Part"),
        ("transport/gloo.py", "from ..worker import engine"),
        ("worker/agent.py", "from ..controller.options import Limits"),
        ("controller/front.py", "from ..client import Client"),
        ("client/blocking.py", "from ..scheduler.stage import Stage"),
        ("client/blocking.py", "from .. import scheduler"),
        ("gateway/errors.py", "from ..transport.messages import Refused"),
        ("client/blocking.py", "from ..gateway.errors import Problem"),
        ("simulator/simulation.py", "from ..worker.emulated.text import TextStage"),
        ("cli/workers.py", "def start():\n    from ..worker.agent import Agent"),
        ("tiny/train.py", "from ..worker.loading import load"),
        ("worker/engine.py", "from modserve.scheduler.stage import Stage"),
        ("worker/engine.py", "import modserve.scheduler.stage"),
    ],
)
def test_a_wrong_arrow_is_noticed(tmp_path: Path, file: str, line: str) -> None:
    _write(tmp_path / file, line)
    assert len(wrong_arrows(tmp_path)) == 1


@pytest.mark.parametrize(
    "line",
    ["import time", "from asyncio import sleep", "import torch", "import msgspec", "import random"],
)
def test_an_impure_import_of_the_scheduler_is_noticed(tmp_path: Path, line: str) -> None:
    _write(tmp_path / "scheduler/geometry/shape.py", line)
    assert len(impure_imports(tmp_path)) == 1


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf-8")
