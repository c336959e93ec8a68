"""A command imports what it needs, and none is missing from the list of all."""

from __future__ import annotations

import subprocess
import sys

import pytest
import typer

from modserve.cli.groups import GROUPS, groups_of

HEAVY = ("matplotlib", "modserve.controller", "modserve.simulator", "numpy", "torch")


@pytest.mark.parametrize(("module", "commands"), GROUPS.items())
def test_a_module_has_the_commands_that_are_listed(module: str, commands: tuple[str, ...]) -> None:
    (group,) = groups_of(commands[0])
    assert group.__name__ == f"modserve.cli.{module}"
    group.add(app := typer.Typer())
    told = [one.name or one.callback.__name__ for one in app.registered_commands if one.callback]
    assert sorted(name.replace("_", "-") for name in told) == sorted(commands)


def test_a_word_that_is_no_command_is_looked_for_among_all() -> None:
    assert len(groups_of("frobnicate")) == len(groups_of("--help")) == len(GROUPS)


@pytest.mark.slow
@pytest.mark.parametrize("command", ["status", "generate", "events", "scale", "add-worker"])
def test_what_only_asks_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys; from modserve.cli.main import run; "
        f"code = run([{command!r}, '--help']); "
        f"sys.exit(str([one for one in {HEAVY} if one in sys.modules] or code))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60
    )
    assert done.stderr.strip() == "0"
