"""A shell that several tests of a file share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .shell import Shell, finished


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    """With a controller and one worker that does everything."""
    shell = Shell(tmp_path_factory.mktemp("home"))
    process = shell.controller()
    shell.worker("--stage", "all")
    yield shell
    assert shell.run("stop")[0] == 0
    assert finished(process) == 0
